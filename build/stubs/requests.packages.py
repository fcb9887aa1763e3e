# Old code's names for urllib3 and idna (requests.packages.urllib3); nothing here uses them.
