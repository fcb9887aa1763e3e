# A list of header fields: what http.client makes of an answer's head. Bodies, MIME and encoded words are not in the binary.


class Message:
    def __init__(self, policy=None):
        self._headers = []
        self.policy, self.defects = policy, []
        self._payload = ""

    def __len__(self):
        return len(self._headers)

    def __contains__(self, name):
        return any(key.lower() == name.lower() for key, _ in self._headers)

    def __iter__(self):
        return iter(self.keys())

    def __getitem__(self, name):
        return self.get(name)

    def __setitem__(self, name, value):
        self._headers.append((name, value))

    def __delitem__(self, name):
        self._headers = [(key, value) for key, value in self._headers if key.lower() != name.lower()]

    def get(self, name, failobj=None):
        return next((value for key, value in self._headers if key.lower() == name.lower()), failobj)

    def get_all(self, name, failobj=None):
        return [value for key, value in self._headers if key.lower() == name.lower()] or failobj

    def keys(self):
        return [key for key, _ in self._headers]

    def values(self):
        return [value for _, value in self._headers]

    def items(self):
        return list(self._headers)

    def get_content_type(self):
        return (self.get("content-type") or "text/plain").split(";")[0].strip().lower()

    def get_content_maintype(self):
        return self.get_content_type().partition("/")[0]

    def is_multipart(self):
        return False

    def get_payload(self, i=None, decode=False):
        return self._payload

    def set_payload(self, payload, charset=None):
        self._payload = payload

    def as_string(self, unixfrom=False, maxheaderlen=0, policy=None):
        return "".join(f"{key}: {value}\n" for key, value in self._headers) + "\n" + self._payload

    __str__ = as_string
