#!/bin/sh
# run.sh: everything `make test` does after the build: unit tests, arrows,
# manual pages, Spin models, fuzz targets, live tests. Its last line is
# "N passed, N failed".
# Environment: OBJ, SANITIZE (no browser, models, fuzz, valgrind), FULL=1 (the
# stated numbers), FUZZTIME (seconds a target), ONLY ("unit live …"), LIVE
# (names of live tests).
set -u
cd "$(dirname "$0")/.." || exit 1
obj=${OBJ:-obj}
npm=${MCPGW_NPM:-$PWD/obj/npm}
sanitize=${SANITIZE:-}
full=${FULL:-}
only=${ONLY:-"unit arrows man model fuzz live valgrind"}
fuzztime=${FUZZTIME:-5}
[ -z "$full" ] || fuzztime=${FUZZTIME:-60}
log=$(mktemp) || exit 1
children=
models=

end() {
	[ -z "$children$models" ] || { kill $children $models 2>/dev/null; wait; }
	rm -rf "$log" "$log".*
}
trap 'exit 1' INT TERM HUP
trap end EXIT

wants() { case " $only " in *" $1 "*) return 0 ;; esac; return 1; }
head1() { printf '\n## %s\n' "$1"; }

# A command that prints cases. It runs in the background, so that a signal
# reaches us at once; its output is shown as it comes, and counted.
count() {
	: >"$log.out"
	"$@" >>"$log.out" 2>&1 &
	children=$!
	tail -n +1 -f --pid="$children" "$log.out" &
	wait "$children"
	children=
	wait
	cat "$log.out" >>"$log"
}

# A command that is one case: its output is shown only if it fails.
case1() {
	name=$1
	shift
	"$@" >"$log.out" 2>&1 &
	children=$!
	if wait "$children"; then
		echo "ok $name" | tee -a "$log"
	else
		sed 's/^/#   /' "$log.out" | tail -40
		echo "not ok $name: exit status not 0" | tee -a "$log"
	fi
	children=
}

unit() {
	head1 unit
	for t in "$obj"/regress/unit/*_test; do
		[ -x "$t" ] && case1 "unit $(basename "$t" _test)" "$t"
	done
}

# Whatever nobody else has taken yet.
memories() {
	while read -r t; do
		mkdir "$log.taken.${t##*/}" 2>/dev/null || continue
		memory1 "$t"
	done <"$log.slow"
}

memory() {
	head1 valgrind
	: >"$log.list"
	for t in "$obj"/regress/unit/*_test; do
		# These filter system calls that valgrind itself needs, or make
		# such as it does not know.
		case $t in *sandbox_test|*priv_test|*nanny_test|*gate_test|*tree_test)
			continue ;;
		esac
		[ -x "$t" ] && echo "$t" >>"$log.list"
	done
	# Two at a time, and first the one that takes a minute.
	grep wire_test "$log.list" >"$log.slow"
	grep -v wire_test "$log.list" >>"$log.slow"
	memories & children=$!
	memories & children="$children $!"
	wait $children
	children=
	cat "$log".valgrind.* 2>/dev/null | tee -a "$log"
}

memory1() {
	n=$(basename "$1" _test)
	if valgrind -q --suppressions=regress/valgrind.supp \
	    --error-exitcode=9 --leak-check=full \
	    --errors-for-leak-kinds=definite,indirect "$1" \
	    >"$log.v.$n" 2>&1 </dev/null; then
		echo "ok valgrind $n" >"$log.valgrind.$n"
	else
		tail -40 "$log.v.$n" | sed 's/^/#   /' >"$log.valgrind.$n"
		echo "not ok valgrind $n: exit status not 0" \
		    >>"$log.valgrind.$n"
	fi
	rm -f "$log.v.$n"
}

arrows() {
	head1 'include and link rules'
	count sh regress/arrows.sh "$obj"
}

man() {
	head1 'manual pages'
	# Every one of the tree, wherever it lies.
	find . -name obj -prune -o -name .git -prune -o \
	    -type f -name '*.[1-9]' -print | sort >"$log.list"
	[ -s "$log.list" ] || case1 'manual pages are found' false
	while read -r m; do
		case1 "mandoc -T lint ${m#./}" mandoc -T lint -W warning "$m" \
		    </dev/null
	done <"$log.list"
}

# They keep a processor busy for most of a minute, beside valgrind.
model_start() {
	sh regress/model/run.sh >"$log.model" 2>&1 &
	models=$!
}

model_end() {
	head1 'protocol models'
	wait "$models"
	models=
	tee -a "$log" <"$log.model"
}

fuzz() {
	head1 "fuzz, $fuzztime s a target"
	find "$obj/fuzz" -maxdepth 1 -name '*_fuzz' -type f >"$log.list"
	# Two at a time.
	while read -r a; do
		b=
		read -r b || :
		fuzz1 "$a" & children=$!
		[ -z "$b" ] || { fuzz1 "$b" & children="$children $!"; }
		wait
		children=
	done <"$log.list"
	cat "$log".fuzz.* 2>/dev/null | tee -a "$log"
}

fuzz1() {
	n=$(basename "$1")
	corpus="$obj/fuzz/corpus/$n"
	mkdir -p "$corpus"
	seeds="regress/fuzz/corpus/$n"
	[ -d "$seeds" ] || seeds=
	if "$1" -max_total_time="$fuzztime" -rss_limit_mb=2048 -timeout=10 \
	    -artifact_prefix="$obj/fuzz/$n-" "$corpus" $seeds \
	    >"$log.f.$n" 2>&1; then
		runs=$(sed -n 's/^Done \([0-9]*\) runs.*/\1/p' "$log.f.$n")
		echo "ok fuzz $n: $runs runs" >"$log.fuzz.$n"
	else
		tail -30 "$log.f.$n" | sed 's/^/#   /' >"$log.fuzz.$n"
		echo "not ok fuzz $n: see $obj/fuzz/$n-*" >>"$log.fuzz.$n"
	fi
	rm -f "$log.f.$n"
}

live() {
	head1 live
	sh etc/users.sh _mcpevery _mcpfiles _mcpmemory _mcpthinking
	node="$npm/node_modules/.bin/node"
	files=
	# What takes longest goes first, so that nothing long is left alone at
	# the end.
	for t in ${LIVE:-$(printf '%s\n' badchild kill stdio inspector browser \
	    conformance login revoke sessions; ls regress/live/*.mjs |
	    sed 's/.*\///; s/\.mjs//' | grep -vxE \
	    'badchild|kill|stdio|inspector|browser|conformance|login|revoke|sessions')}
	do
		case $t in all) continue ;; esac
		# The browser is not built with our compiler's sanitizers, and
		# the programs under them are too slow for the numbers.
		case "$sanitize:$t" in ?*:browser|?*:demo) continue ;; esac
		files="$files regress/live/$t.mjs"
	done
	# Much of it is waiting: three at a time for two processors.
	count "$node" regress/live/all.mjs -j 3 $files
}

start=$(date +%s)
export OBJ="$obj" MCPGW_NPM="$npm"
wants unit && unit
wants arrows && arrows
wants man && man
if [ -z "$sanitize" ]; then
	wants model && model_start
	wants valgrind && memory
	wants model && model_end
	wants fuzz && fuzz
fi
wants live && live

good=$(grep -c '^ok ' "$log")
bad=$(grep -c '^not ok ' "$log")
if [ "$bad" -gt 0 ]; then
	printf '\n## failed\n'
	grep '^not ok ' "$log"
fi
printf '\n%s s\n%s passed, %s failed\n' "$(($(date +%s) - start))" \
    "$good" "$bad"
[ "$bad" -eq 0 ] && [ "$good" -gt 0 ]
