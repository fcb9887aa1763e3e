"""SNS: messages and their grammar, signatures and certificates, and the two requests to SNS's own hosts."""
