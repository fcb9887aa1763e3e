"""Amazon SNS in, RabbitMQ out: a notification is answered with 200 only after the broker has confirmed it into a queue."""
