#!/bin/sh
# run.sh: what `make bench` does after the build. Peers that listen on every
# interface must be reachable by nobody, so as root everything runs in a network
# namespace of its own, and in a process namespace, so that nothing outlives it.
# Environment: OBJ, MCPGW_NPM, and what run.mjs reads.
set -u
cd "$(dirname "$0")/../.." || exit 1
: "${OBJ:=obj}" "${MCPGW_NPM:=$PWD/obj/npm}"
export OBJ MCPGW_NPM
child=
sig=TERM
TMPDIR=$(mktemp -d) || exit 1
export TMPDIR

end() {
	[ -z "$child" ] || { kill -"$sig" "$child" 2>/dev/null; wait; }
	rm -rf "$TMPDIR"
}
trap 'exit 1' INT TERM HUP
trap end EXIT
chmod 755 "$TMPDIR"

node="$MCPGW_NPM/node_modules/.bin/node"
if [ "$(id -u)" -eq 0 ]; then
	# unshare blocks SIGTERM; when it is killed, so is all below it.
	sig=KILL
	MCPGW_BENCH_ALONE=1 unshare --net --pid --fork --kill-child \
	    --mount-proc sh -c 'ip link set lo up && exec "$@"' sh \
	    "$node" regress/bench/run.mjs &
else
	"$node" regress/bench/run.mjs &
fi
child=$!
wait "$child"
status=$?
child=
exit "$status"
