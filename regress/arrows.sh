#!/bin/sh
# arrows.sh: who may include what, and which libraries each program links.
# Usage: arrows.sh [OBJ]. Prints "ok NAME" or "not ok NAME: why".
set -u
cd "$(dirname "$0")/.." || exit 1
obj=${1:-obj}
bad=0

say() { # name, offending lines
	if [ -z "$2" ]; then
		echo "ok $1"
	else
		bad=$((bad + 1))
		echo "not ok $1: $(echo "$2" | tr '\n' ';')"
	fi
}

# Lines that include a header matching $1 in the tree's process folders,
# outside the files that match $2.
includes() {
	grep -rnE "^[[:space:]]*#[[:space:]]*include[[:space:]]*$1" \
	    --include='*.[ch]' common master worker authd runner mcpgwctl |
	    grep -vE "^($2):" || :
}

dirs="master worker authd runner mcpgwctl"
for d in $dirs common; do
	lines=
	for o in $dirs; do
		[ "$o" = "$d" ] && continue
		for h in "$o"/*.h; do
			[ -e "$h" ] || continue
			n=$(basename "$h")
			# A header of that name in its own folder is its own.
			[ -e "$d/$n" ] && continue
			lines="$lines$(grep -nE \
			    "#[[:space:]]*include[[:space:]]*[<\"](\.\./)?($o/)?$n[>\"]" \
			    "$d"/*.[ch] /dev/null 2>/dev/null || :)"
		done
	done
	say "include: $d includes no other process" "$lines"
done

say 'include: yaml.h only in master/parse.c' \
    "$(includes '<yaml\.h>' 'master/parse\.c')"
say 'include: db.h only in authd/store.c' \
    "$(includes '<db\.h>' 'authd/store\.c')"
say 'include: crypt.h only in authd/passwd.c' \
    "$(includes '<crypt\.h>' 'authd/passwd\.c')"
say 'include: json-c only in worker' \
    "$(includes '<json(-c)?/' 'worker/[a-z_]*\.[ch]')"
say 'include: OpenSSL only where keys are' "$(includes '<openssl/' \
    'common/(jwt|seal|digest)\.c|authd/keys\.c|worker/tls\.c')"
say 'include: seccomp and Landlock only in common/sandbox.c' \
    "$(includes '<(linux/(seccomp|landlock|filter|audit)|seccomp)\.h>' \
    'common/sandbox[a-z_]*\.c')"
say 'include: no curl' "$(includes '<curl/' 'fetcher/.*')"

# libevent: common/peer.c, and one or a few files of each process's loop.
say 'include: no libevent in mcpgwctl' "$(grep -n '<event' mcpgwctl/*.[ch] \
    2>/dev/null || :)"

# name, program, libraries it may link beside libc and the loader
links() {
	if ! [ -x "$obj/$1" ]; then
		say "ldd: $1" "$obj/$1 is not built"
		return
	fi
	got=$(LC_ALL=C objdump -p "$obj/$1" | sed -n 's/^ *NEEDED *//p' |
	    grep -vE '^(libc|ld-linux.*|libasan|libubsan|libm|libresolv|libgcc_s)\.so' |
	    sed 's/[-.0-9]*\.so.*//; s/_core$//' | sort -u)
	say "ldd: $1" "$(for l in $got; do
		case " $2 " in *" $l "*) ;; *) echo "$l" ;; esac
	done)"
}
links mcpgwd 'libyaml libevent'
links worker 'libssl libcrypto libjson-c libevent'
links authd 'libcrypto libdb libcrypt libevent'
links runner 'libevent'
links nanny ''
links mcpgwctl ''

exit $((bad > 0))
