#!/bin/sh
# deps.sh run|test|bench: installs the Debian packages that `make run`, `make
# test` or `make bench` need, after printing their names. Does nothing when all
# are there. Not root: sudo once, or the command to run and exit status 1.
set -eu

what=${1:-}
case $what in
run|test|bench) ;;
*)	echo "usage: deps.sh run|test|bench" >&2; exit 2 ;;
esac

# A tool counts as there when it can be run, wherever it came from.
tools="gcc make node:nodejs npm ar:binutils setpriv:util-linux
	useradd:passwd sed"
libs="libc6-dev libevent-dev libyaml-dev libdb-dev libssl-dev
	libcrypt-dev ca-certificates"
if [ "$what" = test ]; then
	tools="$tools chromium clang clang-format cppcheck mandoc valgrind
	    openssl sslscan spin"
	# valgrind needs the symbols of ld.so.
	libs="$libs libc6-dbg"
elif [ "$what" = bench ]; then
	tools="$tools nginx:nginx-light haproxy taskset:util-linux
	    unshare:util-linux ip:iproute2"
fi

PATH=$PATH:/usr/sbin:/sbin
missing=
for t in $tools; do
	command -v "${t%%:*}" >/dev/null 2>&1 || missing="$missing ${t##*:}"
done
for l in $libs; do
	dpkg-query -W -f '${db:Status-Status}\n' "$l" 2>/dev/null |
	    grep -qx installed || missing="$missing $l"
done

# libFuzzer's runtime is in a package named after clang's version.
runtime=
if [ "$what" = test ]; then
	if ! command -v clang >/dev/null 2>&1; then
		runtime=yes
	elif ! [ -e "$(clang -print-file-name="libclang_rt.fuzzer-$(clang \
	    -dumpmachine | sed 's/-.*//').a" 2>/dev/null)" ]; then
		runtime=yes
	fi
fi

[ -n "$missing$runtime" ] || exit 0

get="apt-get install -y --no-install-recommends"
line="apt-get update"
# The proxies of the benchmark are run by it alone: Debian would start them as
# services, which listen to everybody.
mask=
for s in nginx haproxy; do
	case "$missing " in *" $s "*|*" $s-light "*) mask="$mask $s" ;; esac
done
if [ -n "$mask" ] && command -v systemctl >/dev/null 2>&1; then
	line="systemctl mask$mask && $line"
fi
[ -z "$missing" ] || line="$line && $get$missing"
if [ -n "$runtime" ]; then
	line="$line && $get libclang-rt-\$(clang -dumpversion | cut -d. -f1)-dev"
fi

echo "mcpgwd: make $what needs these Debian packages:$missing${runtime:+ libclang-rt-N-dev (N: the version of clang)}"
if ! command -v apt-get >/dev/null 2>&1; then
	echo "mcpgwd: no apt-get here: install them yourself" >&2
	exit 1
fi
if [ "$(id -u)" -eq 0 ]; then
	DEBIAN_FRONTEND=noninteractive sh -c "$line"
elif command -v sudo >/dev/null 2>&1 && { [ -t 0 ] || sudo -n true 2>/dev/null; }
then
	sudo env DEBIAN_FRONTEND=noninteractive sh -c "$line"
else
	echo "mcpgwd: run this as root, then try again:" >&2
	echo "  $line" >&2
	exit 1
fi
