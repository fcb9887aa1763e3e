# pika reads dictionaries of numbers and strings inside an AMQP URL (?tcp_options={'TCP_KEEPIDLE': 60}) by this. The binary has no
# Python parser; such a dictionary is JSON except for its quotes and the names of the three constants.
import json

_CONSTANTS = {"True": True, "False": False, "None": None}


def literal_eval(source):
    source = source.strip()
    if source in _CONSTANTS:
        return _CONSTANTS[source]
    return json.loads(source.replace("'", '"'))
