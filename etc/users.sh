#!/bin/sh
# users.sh [NAME…]: creates the users mcpgwd's processes run as, and those that
# are named for stdio servers; says so before it does. Only root needs them;
# anybody else runs everything as himself.
set -eu
PATH=$PATH:/usr/sbin:/sbin

[ "$(id -u)" -eq 0 ] || exit 0
missing=
for u in _mcpgw _mcpauth _mcprun "$@"; do
	id "$u" >/dev/null 2>&1 || missing="$missing $u"
done
[ -n "$missing" ] || exit 0
echo "mcpgwd: creating the system users$missing"
for u in $missing; do
	useradd --system --user-group --no-create-home \
	    --home-dir /nonexistent --shell /usr/sbin/nologin "$u"
done
