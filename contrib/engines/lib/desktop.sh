# shellcheck shell=bash
# shellcheck disable=SC2154 # here, cache_root, debian_suite: set by ../engine; socket: by need_up
# A real X desktop with a VNC server, made of Debian's packages.

desktop_packages=tigervnc-standalone-server,tigervnc-tools,twm,xterm

cmd_desktop() {
	local usage="usage: engine desktop NAME TAG [--kasm]" tag=${2-} label=()
	[ $# -ge 2 ] || die "$usage"
	need_up "$@"
	shift 2
	while [ $# -gt 0 ]; do
		case $1 in
		--kasm) label=(-c 'LABEL com.kasmweb.image=true') ;;
		*) die "unknown option '$1': $usage" ;;
		esac
		shift
	done
	command -v docker >/dev/null || packages docker.io
	local root
	root=$(desktop_root)
	[ -e "$root" ] || build_desktop "$root"
	DOCKER_HOST=unix://$socket docker import \
		-c 'ENV PATH=/usr/local/bin:/usr/bin:/bin DISPLAY=:1 VNC_PORT=5901' -c 'EXPOSE 5901' \
		-c 'ENTRYPOINT ["desktop-start"]' "${label[@]}" "$root" "$tag" ||
		die "docker import failed: see above and 'engine log'"
}

# A recipe that changed makes another file.
desktop_root() {
	local recipe
	recipe=$(cat -- "$here/lib/desktop.sh" "$here/lib/desktop-start.sh" | sha256sum)
	printf '%s\n' "$cache_root/desktop-$debian_suite-${recipe:0:12}.tar"
}

build_desktop() {
	local tar=$1 work
	packages debootstrap
	lock "$cache_root"
	if [ -e "$tar" ]; then # another one was faster
		unlock
		return 0
	fi
	work=$(mktemp -d "$cache_root/build.XXXXXX")
	say "building a desktop of Debian $debian_suite: about a minute"
	# debootstrap mounts and starts things in there: they end with the namespaces.
	if ! unshare --mount --pid --fork --kill-child \
		debootstrap --variant=minbase --include="$desktop_packages" "$debian_suite" "$work/root" >"$work/log" 2>&1; then
		rm -rf -- "$work/root"
		show_log "$work/log"
		die "debootstrap failed (all of it: $work/log). Mostly no way to the Debian mirror: see 'debootstrap --help' about proxies"
	fi
	furnish_desktop "$work/root"
	tar -C "$work/root" --numeric-owner -cf "$work/tar" .
	mv -- "$work/tar" "$tar"
	rm -rf -- "$work"
	unlock
}

# furnish_desktop ROOT: a user, the start, and nothing that the X server does
# not need: 3D drivers and their compiler are half of all there is.
furnish_desktop() {
	chroot "$1" useradd --uid 1000 --create-home --shell /bin/bash desktop
	install -m 755 -- "$here/lib/desktop-start.sh" "$1/usr/local/bin/desktop-start"
	printf '%s\n' '#!/bin/sh' 'xterm &' 'exec twm' >"$1/usr/local/bin/desktop-programs"
	chmod 755 "$1/usr/local/bin/desktop-programs"
	rm -rf -- "${1:?}"/usr/lib/*/dri "$1"/usr/lib/*/libLLVM*.so* \
		"$1"/usr/share/{doc,info,locale,man}/* "$1"/var/cache/apt/* "$1"/var/lib/apt/lists/* \
		"$1"/var/cache/debconf/* "$1"/var/log/*.log "${1:?}"/dev/* "$1"/tmp/* "$1"/tmp/.[!.]*
}
