# No cookies; requests asks whether a value is one of these.
class CookieError(Exception):
    pass


class Morsel(dict):
    pass
