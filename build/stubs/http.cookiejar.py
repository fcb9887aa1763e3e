# No cookies: what a server sets is not kept, and none is sent.


class CookiePolicy:
    pass


class DefaultCookiePolicy(CookiePolicy):
    def __init__(self, *args, **options):
        pass


class Cookie:
    def __init__(self, *args, **fields):
        vars(self).update(fields)


class CookieJar:
    def __init__(self, policy=None):
        self._policy = policy or DefaultCookiePolicy()

    def __iter__(self):
        return iter(())

    def __len__(self):
        return 0

    def set_policy(self, policy):
        self._policy = policy

    def set_cookie(self, cookie, *args, **options):
        pass

    def clear(self, domain=None, path=None, name=None):
        pass

    extract_cookies = set_cookie

    def add_cookie_header(self, request):
        pass
