# shellcheck shell=bash
# shellcheck disable=SC2154 # cache_root, debian_suite: set by ../engine
# Root file systems made of Debian's packages.

# debian_tar NAME PACKAGES FURNISH [FILE...]: prints the path of a tar of a system
# with those packages, comma between them, to which the function FURNISH has done
# what it wants, with the FILEs. It is made unless it is there; a recipe that
# changed makes another one.
debian_tar() {
	local name=$1 include=$2 furnish=$3 recipe tar
	shift 3
	recipe=$({
		echo "$include"
		declare -f build_debian "$furnish"
		cat -- /dev/null "$@"
	} | sha256sum)
	tar=$cache_root/$name-$debian_suite-${recipe:0:12}.tar
	[ -e "$tar" ] || build_debian "$tar" "$name" "$include" "$furnish"
	printf '%s\n' "$tar"
}

build_debian() {
	local tar=$1 name=$2 include=$3 furnish=$4 work
	packages debootstrap
	lock "$cache_root"
	if [ -e "$tar" ]; then # another one was faster
		unlock
		return 0
	fi
	work=$(mktemp -d "$cache_root/build.XXXXXX")
	say "building a $name of Debian $debian_suite: about a minute"
	# debootstrap mounts and starts things in there: they end with the namespaces.
	if ! unshare --mount --pid --fork --kill-child \
		debootstrap --variant=minbase --include="$include" "$debian_suite" "$work/root" >"$work/log" 2>&1; then
		rm -rf -- "$work/root"
		show_log "$work/log"
		die "debootstrap failed (all of it: $work/log). Mostly no way to the Debian mirror: see 'debootstrap --help' about proxies"
	fi
	"$furnish" "$work/root"
	rm -rf -- "$work/root"/usr/share/{doc,info,locale,man}/* "$work/root"/var/cache/{apt,debconf}/* \
		"$work/root"/var/lib/apt/lists/* "$work/root"/var/log/*.log "$work/root"/dev/* "$work/root"/tmp/* "$work/root"/tmp/.[!.]*
	tar -C "$work/root" --numeric-owner -cf "$work/tar" .
	mv -- "$work/tar" "$tar"
	rm -rf -- "$work"
	unlock
}
