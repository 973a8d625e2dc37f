# shellcheck shell=bash
# shellcheck disable=SC2154 # cache_root and the versions: set by ../engine

cmd_install() {
	[ $# -eq 1 ] || die "usage: engine install 20.10|29|ssh|terminal"
	case $1 in
	20.10) install_2010 && say "20.10 is ready: $(/usr/sbin/dockerd --version)" ;;
	29) install_29 && say "29 is ready: $("$(bin_29)/dockerd" --version)" ;;
	ssh) packages openssh-server openssh-client ;; # by which tests reach an engine
	terminal) packages tmux ;; # on which tests look at what people see
	*) die "unknown kind '$1': 20.10, 29, ssh or terminal" ;;
	esac
}

common_packages() { packages iproute2 iptables util-linux procps curl ca-certificates "$@"; }

install_2010() {
	# containerd brings runc and the shim along.
	common_packages docker.io
}

bin_29() { printf '%s\n' "$cache_root/29-$moby_version-$containerd_version-$runc_version/bin"; }

install_29() {
	local bin
	bin=$(bin_29)
	# tini-static serves "docker run --init".
	common_packages tini libseccomp2
	[ -x "$bin/dockerd" ] || build_29 "$bin"
}

build_29() {
	local bin=$1 work
	local containerd=github.com/containerd/containerd/v2/version
	local moby=github.com/moby/moby/v2/dockerversion
	command -v go >/dev/null || die "no go: install Go 1.26 or later (https://go.dev/dl) and put it on PATH"
	packages gcc libc6-dev libseccomp-dev pkg-config
	lock "$cache_root"
	if [ -x "$bin/dockerd" ]; then # another one was faster
		unlock
		return 0
	fi
	work=$(mktemp -d "$cache_root/build.XXXXXX")
	say "building moby $moby_version, containerd $containerd_version and runc $runc_version: some minutes"
	{
		# runc starts in C, and Debian 12's own is too old: it knows no time namespace.
		cgo=1 build_module "$work" "github.com/opencontainers/runc@$runc_version" \
			"-X main.version=${runc_version#v}" -tags=seccomp . &&
			cgo=0 build_module "$work" "github.com/containerd/containerd/v2@$containerd_version" \
				"-X $containerd.Version=$containerd_version -X $containerd.Revision=$containerd_version" \
				-tags= cmd/containerd cmd/containerd-shim-runc-v2 &&
			cgo=0 build_module "$work" "github.com/moby/moby/v2@$moby_version" \
				"-X $moby.Version=${moby_version#v} -X $moby.GitCommit=$moby_version" \
				-tags= cmd/docker-proxy cmd/dockerd
	} >"$work/log" 2>&1 || {
		show_log "$work/log"
		die "the build failed (all of it: $work/log). Mostly an old Go or no module proxy: see 'go version' and 'go env GOPROXY', then again"
	}
	mkdir -p -- "${bin%/*}"
	rm -rf -- "$bin"
	mv -- "$work/bin" "$bin"
	rm -rf -- "$work"
	unlock
}

# cgo=0|1 build_module WORK MODULE@VERSION LDFLAGS TAGS PACKAGE...: builds PACKAGEs to WORK/bin.
# A module of its own for each, so that neither raises the other's versions.
build_module() {
	local work=$1 module=$2 ldflags=$3 tags=$4 package
	shift 4
	mkdir -p -- "$work/bin" "$work/module"
	rm -f -- "$work/module/go.mod" "$work/module/go.sum"
	(
		cd -- "$work/module" || exit 1
		export CGO_ENABLED=$cgo GOWORK=off GOFLAGS='-mod=mod -buildvcs=false -trimpath'
		go mod init engines.invalid/build || exit 1
		for package; do
			package=${module%@*}/$package
			go get "${package%/.}@${module#*@}" || exit 1
			go build "$tags" -ldflags "-s -w $ldflags" -o "$work/bin/" "${package%/.}" || exit 1
		done
	)
}
