#!/bin/sh
# alone.sh COMMAND…: runs it in a network of its own that is nothing but loopback, where the documentation's names lead there. So its
# commands can be run as written: standard ports are free, and broker.example.com is this machine. Where that can't be, it just runs.
set -eu
names='127.0.0.1 localhost broker.example.com bridge.example.com rabbitmq localstack bridge
::1 localhost'
own=""
[ "$(id -u)" = 0 ] || own="--user --map-root-user"
inside='ip link set lo up && printf "%s\n" "$1" > "$2" && mount --bind "$2" /etc/hosts && rm "$2" && shift 2 && BRIDGE_ALONE=1 exec "$@"'
hosts=$(mktemp)
if unshare $own --net --mount true 2>/dev/null; then
	exec unshare $own --net --mount --propagation private sh -c "$inside" sh "$names" "$hosts" "$@"
fi
rm "$hosts"
exec "$@"
