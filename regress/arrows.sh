#!/bin/sh
# arrows.sh: who may include what, and which libraries each program links:
# the table of design 1, row by row. A row that nothing in the tree needs any
# more is wrong, too.
# Usage: arrows.sh [OBJ]. Prints "ok NAME" or "not ok NAME: why".
set -u
cd "$(dirname "$0")/.." || exit 1
obj=${1:-obj}
bad=0
dirs="master worker authd runner mcpgwctl"
work=$(mktemp) || exit 1
trap 'rm -f "$work" "$work".*' EXIT
trap 'exit 1' INT TERM HUP

say() { # name, offending lines
	if [ -z "$2" ]; then
		echo "ok $1"
	else
		bad=$((bad + 1))
		echo "not ok $1: $(echo "$2" | tr '\n' ';')"
	fi
}

# A header of a library, and the files that see it. In both * is anything
# but a slash. "-": no file.
headers() {
	cat <<'TABLE'
yaml.h                master/parse.c
db.h                  authd/store.c
crypt.h               authd/passwd.c
openssl/ssl.h         worker/tls*.c
openssl/x509v3.h      worker/tls*.c
openssl/pem.h         worker/tls*.c authd/keys.c
openssl/err.h         worker/tls*.c common/jwt.c common/seal.c
openssl/evp.h         common/jwt.c common/seal.c common/digest.c authd/keys.c
openssl/core_names.h  common/jwt.c authd/keys.c
openssl/params.h      common/jwt.c
openssl/bn.h          authd/keys.c
openssl/ec.h          authd/keys.c
openssl/ecdsa.h       authd/keys.c
json-c/*              -
json/*                -
curl/*                -
seccomp.h             -
linux/seccomp.h       common/sandbox.c common/sandbox_gate.c
linux/landlock.h      common/sandbox.c
linux/filter.h        common/sandbox.c
linux/audit.h         common/sandbox.c
linux/sched.h         common/cgroup.c
event.h               -
event2/event_struct.h worker/stream.h
event2/event.h        common/peer.c
event2/event.h        master/mcpgwd.c master/proc.c master/generation.c
event2/event.h        master/control.c master/spawn.c
event2/event.h        authd/loop.c
event2/event.h        runner/main.c runner/child.c runner/pipe.c
event2/event.h        runner/errlog.c
event2/event.h        worker/main.c worker/worker.c worker/stream.h
event2/event.h        worker/call.c worker/child.c worker/handshake.c
event2/event.h        worker/notify.c worker/oldsse.c worker/view.c
event2/event.h        worker/watch.c worker/keeper.c worker/probe.c
event2/event.h        worker/resolver.c worker/checker.c
event2/event.h        worker/dial.c worker/whose.c
TABLE
}

# libc's and the kernel's, which any file may include.
system="arpa/inet.h assert.h ctype.h dirent.h endian.h errno.h fcntl.h
getopt.h glob.h grp.h inttypes.h limits.h link.h malloc.h netdb.h
net/if.h netinet/in.h netinet/tcp.h
poll.h pwd.h sched.h signal.h stdarg.h stddef.h stdint.h stdio.h stdlib.h
string.h strings.h sys/epoll.h sys/ioctl.h sys/mman.h sys/prctl.h sys/queue.h
sys/random.h sys/resource.h sys/shm.h sys/signalfd.h sys/socket.h sys/stat.h
sys/statvfs.h sys/syscall.h sys/time.h sys/types.h sys/uio.h sys/un.h
sys/wait.h sys/xattr.h syslog.h termios.h time.h unistd.h"

# "file header" of every include; what stands in quotes and is in the same
# folder or in common/ is ours, and not listed.
includes() {
	for d in $dirs common; do
		grep -HoE '^[[:space:]]*#[[:space:]]*include[[:space:]]*[<"][^>"]*' \
		    "$d"/*.[ch]
	done | sed 's/:[[:space:]]*#[[:space:]]*include[[:space:]]*/ /' |
	    while read -r file name; do
		h=${name#?}
		case $name in '"'*)
			[ -e "${file%/*}/$h" ] || [ -e "common/$h" ] &&
			    [ "${h#*/}" = "$h" ] && continue ;;
		esac
		echo "$file $h"
	done
}

includes >"$work.seen"
[ -s "$work.seen" ] || say 'include: the tree is read' 'no include was found'

# What is wrong with the rows of one header.
row() {
	headers | awk -v want="$1" -v seen="$work.seen" '
	function glob(s) {
		gsub(/[.+]/, "\\\\&", s)
		gsub(/\*/, "[^/]*", s)
		return "^" s "$"
	}
	$1 == want {
		for (i = 2; i <= NF; i++)
			if ($i != "-")
				file[$i] = glob($i)
	}
	END {
		h = glob(want)
		while ((getline line <seen) > 0) {
			split(line, p, " ")
			if (p[2] !~ h)
				continue
			may = 0
			for (f in file)
				if (p[1] ~ file[f])
					may = used[f] = 1
			if (!may)
				print p[1] " includes " p[2]
		}
		for (f in file)
			if (!(f in used))
				print "the row of " f " is out of date"
	}'
}

for d in $dirs common; do
	lines=
	for o in $dirs; do
		[ "$o" = "$d" ] && continue
		lines="$lines$(awk -v d="$d/" -v o="$o" '
		    index($1, d) == 1 && $2 ~ "^(\\.\\./)*" o "/"' "$work.seen")"
		# By a bare name, should a -I ever allow it.
		for h in "$o"/*.h; do
			n=${h##*/}
			[ -e "$h" ] && [ ! -e "$d/$n" ] || continue
			lines="$lines$(awk -v d="$d/" -v n="$n" '
			    index($1, d) == 1 && $2 == n' "$work.seen")"
		done
	done
	say "include: $d includes no other process" "$lines"
done

for h in $(headers | awk '{print $1}' | uniq); do
	files=$(headers | awk -v h="$h" '$1 == h {
		$1 = ""; all = all $0 } END { print all }')
	case $files in
	' -') name="nobody includes $h" ;;
	*\ *\ *\ *\ *\ *) name="$h only where its rows say" ;;
	*) name="$h only in$files" ;;
	esac
	say "include: $name" "$(set -f; row "$h")"
done

# Every library has a row.
say 'include: no header of a library without a row' "$(
	{ headers | awk '{print "row " $1}'
	printf 'sys %s\n' $system; cat "$work.seen"; } | awk '
	$1 == "row" { gsub(/\*/, "[^/]*", $2); row["^" $2 "$"]; next }
	$1 == "sys" { sys[$2]; next }
	!($2 in sys) {
		for (r in row)
			if ($2 ~ r)
				next
		print $1 " includes " $2
	}')"

# ---- link ----

# Names of libraries, without versions; what is libc's, and under SANITIZE the
# sanitizers' (with what they pull in), is left out.
names() {
	ours='libc|ld-linux.*|linux-vdso'
	[ -z "${SANITIZE:-}" ] ||
	    ours="$ours|libasan|libubsan|libm|libresolv|libgcc_s|libstdc\+\+"
	sed 's/[[:space:]].*//; s/.*\///' | grep -vE "^($ours)\.so" |
	    sed 's/[-.0-9]*\.so.*//; s/^libevent_core$/libevent/' | sort -u
}

# $1 and $2 are lists; what only one of them has.
differ() {
	printf '%s\n' $1 | sort -u >"$work.a"
	printf '%s\n' $2 | sort -u >"$work.b"
	comm -23 "$work.a" "$work.b" | sed '/^$/d; s/$/ is linked/'
	comm -13 "$work.a" "$work.b" | sed '/^$/d; s/$/ is not linked/'
}

# The program, exactly the libraries it links beside libc, and what those may
# bring along.
links() {
	if ! [ -x "$obj/$1" ]; then
		say "ldd: $1" "$obj/$1 is not built"
		return
	fi
	needed=$(LC_ALL=C objdump -p "$obj/$1" |
	    sed -n 's/^ *NEEDED *//p' | names)
	all=$(LC_ALL=C ldd "$obj/$1" | sed 's/^[[:space:]]*//' | names)
	[ -n "$(LC_ALL=C objdump -p "$obj/$1" | grep NEEDED)" ] ||
	    needed=nothing
	say "ldd: $1 links ${2:-nothing}" "$(differ "$needed" "$2")"
	say "ldd: $1 loads ${2:-nothing}${3:+, perhaps $3}" "$(
	    for l in $all; do
		case " $2 $3 " in *" $l "*) ;; *) echo "$l is loaded" ;; esac
	    done)"
}
# libcrypto of Debian 13 compresses.
crypto='libz libzstd'
links mcpgwd 'libyaml libevent' ''
links worker 'libssl libcrypto libevent' "$crypto"
links authd 'libcrypto libdb libcrypt libevent' "$crypto"
links runner 'libevent' ''
links nanny '' ''
links mcpgwctl '' ''

exit $((bad > 0))
