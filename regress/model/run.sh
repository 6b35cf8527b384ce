#!/bin/sh
# run.sh [NAME ...]: checks the Spin models of this directory. A model names in
# its head how it is run: each RUN must pass, each MUTANT must fail. With FULL=1
# each FULL must pass too: the same with more that goes wrong.
set -u
dir=$(cd "$(dirname "$0")" && pwd) || exit 1
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' INT TERM HUP
cd "$tmp" || exit 1
bad=0

# pan's exit status does not tell; what it prints does.
check() {
	rm -f pan* *.trail
	opt=$1
	shift
	spin -a "$@" "$model" >spin.out 2>&1 &&
	    cc -w "$opt" -DSAFETY -DNOFAIR -DVECTORSZ=2048 -DMEMLIM=1900 \
		-o pan pan.c >cc.out 2>&1 &&
	    ./pan -m200000 -w"$hash" >pan.out 2>&1
	[ -e pan.out ] && grep -q 'errors: [0-9]' pan.out
}

say() {
	echo "$1"
	case $1 in not*)
		bad=1
		cat spin.out cc.out pan.out 2>/dev/null | head -20 |
		    sed 's/^/#   /'
	esac
	rm -f spin.out cc.out pan.out
}

for name in ${*:-$(cd "$dir" && ls ./*.pml | sed 's/^..//; s/\.pml$//')}; do
	model=$name.pml
	cp "$dir/$model" . || exit 1
	sed -n 's/^ \* RUN /-O0 /p' "$model" >runs
	[ -z "${FULL:-}" ] || sed -n 's/^ \* FULL /-O2 /p' "$model" >>runs
	sed -n 's/^ \* MUTANT //p' "$model" >mutants
	n=0
	states=0
	failed=
	hash=21
	while read -r opt flags; do
		n=$((n + 1))
		if ! check "$opt" $flags || ! grep -q 'errors: 0' pan.out ||
		    grep -Eq 'truncated|not complete|out of memory|too small' \
			pan.out; then
			say "not ok model $name: run $n ($flags)"
			failed=yes
			continue
		fi
		states=$((states +
		    $(sed -n 's/^ *\([0-9]*\) states, stored.*/\1/p' pan.out)))
	done <runs
	if [ "$n" -gt 0 ] && [ -z "$failed" ]; then
		say "ok model $name: $n runs, $states states"
	elif [ -z "$failed" ]; then
		say "not ok model $name: has no RUN"
	fi
	hash=18
	while read -r mutant flags; do
		if check -O0 "-D$mutant" $flags &&
		    ! grep -q 'errors: 0' pan.out &&
		    grep -Eq 'pan:.*(assertion violated|invalid end state)' \
			pan.out; then
			say "ok model $name mutant $mutant is caught"
		else
			say "not ok model $name mutant $mutant is not caught"
		fi
	done <mutants
done
exit "$bad"
