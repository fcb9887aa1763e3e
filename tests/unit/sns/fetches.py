"""The genuine URL of a signing certificate, and a stand-in for the network from which certificates are fetched."""

from bridge.sns import certificates as module

NAME = "SimpleNotificationService-" + "0123456789abcdef" * 2 + ".pem"
HOST = "sns.us-west-2.amazonaws.com"
URL = f"https://{HOST}/{NAME}"


class Fetches:
    """Egress's interface: records the requests; `answer` plays the host."""

    def __init__(self):
        self.asked = []

    def get(self, url, limit, then):
        assert limit == module.MAX_ENCODED
        self.asked.append((url, then))

    def answer(self, status, body, why=""):
        self.asked.pop(0)[1](status, body, why)


def fetched(certificates, egress, encoded, url=URL, size=0):
    results = []
    certificates.wait(url, results.append, size)
    egress.answer(200, encoded)
    return results[0]
