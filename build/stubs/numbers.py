"""pika asks whether a setting is one of these."""

Integral = int
Real = int | float
