"""SQS as the second way in: request signatures, credentials, the queue's calls, and the receiving of messages."""
