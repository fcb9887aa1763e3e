"""AMQP: the connection to RabbitMQ, publishes and their confirms, and the loop that everything runs on."""
