# shellcheck shell=bash
# shellcheck disable=SC2154 # socket: set by need_up

cmd_image() {
	[ $# -eq 2 ] || die "usage: engine image NAME TAG"
	need_up "$@"
	packages busybox-static
	command -v docker >/dev/null || packages docker.io
	local root applet
	root=$(mktemp -d)
	# shellcheck disable=SC2064 # root is local: expand it now
	trap "rm -rf -- '$root'" EXIT
	mkdir -p -- "$root"/{bin,dev,etc,home/demo,proc,root,sys,tmp,var}
	chmod 1777 "$root/tmp"
	cp -- /bin/busybox "$root/bin/busybox"
	for applet in $(/bin/busybox --list); do
		[ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"
	done
	printf '%s\n' 'root:x:0:0:root:/root:/bin/sh' 'demo:x:1000:1000:demo:/home/demo:/bin/sh' >"$root/etc/passwd"
	printf '%s\n' 'root:x:0:' 'demo:x:1000:' >"$root/etc/group"
	chmod 700 "$root/root"
	tar -C "$root" --numeric-owner --owner=0 --group=0 -cf - . |
		DOCKER_HOST=unix://$socket docker import \
			-c 'ENV PATH=/bin' -c 'CMD ["sh"]' - "$2" ||
		die "docker import failed: see above and 'engine log $1'"
}
