"""Pull from SQS: request signatures, credentials, the queue's calls, and the pulling itself."""
