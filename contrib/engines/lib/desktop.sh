# shellcheck shell=bash
# shellcheck disable=SC2154 # here: set by ../engine; socket: by need_up
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
	root=$(debian_tar desktop "$desktop_packages" furnish_desktop "$here/lib/desktop-start.sh")
	DOCKER_HOST=unix://$socket docker import \
		-c 'ENV PATH=/usr/local/bin:/usr/bin:/bin DISPLAY=:1 VNC_PORT=5901' -c 'EXPOSE 5901' \
		-c 'ENTRYPOINT ["desktop-start"]' "${label[@]}" "$root" "$tag" ||
		die "docker import failed: see above and 'engine log'"
}

# furnish_desktop ROOT: a user, the start, and nothing that the X server does
# not need: 3D drivers and their compiler are half of all there is.
furnish_desktop() {
	chroot "$1" useradd --uid 1000 --create-home --shell /bin/bash desktop
	install -m 755 -- "$here/lib/desktop-start.sh" "$1/usr/local/bin/desktop-start"
	printf '%s\n' '#!/bin/sh' 'xterm &' 'exec twm' >"$1/usr/local/bin/desktop-programs"
	chmod 755 "$1/usr/local/bin/desktop-programs"
	rm -rf -- "${1:?}"/usr/lib/*/dri "$1"/usr/lib/*/libLLVM*.so*
}
