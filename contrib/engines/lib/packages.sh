# shellcheck shell=bash
# shellcheck disable=SC2154 # cache_root: set by ../engine
# Debian packages, installed without letting any of them start a service.

policy=/usr/sbin/policy-rc.d
policy_saved=$policy.docker-kasm

# packages NAME...: installs the ones that are missing.
packages() {
	local missing=() name
	for name; do
		[ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || missing+=("$name")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	command -v apt-get >/dev/null ||
		die "no apt-get here: install ${missing[*]} by hand, without starting a service"
	say "installing ${missing[*]}"

	lock "$cache_root" # one saved policy at a time
	trap restore_policy EXIT
	trap 'exit 130' INT TERM
	forbid_services
	apt_get install "${missing[@]}" || {
		apt_get update && apt_get install "${missing[@]}"
	} || die "apt-get could not install ${missing[*]}: see above, then try 'apt-get update' and 'apt-get -f install'"
	restore_policy
	trap - EXIT INT TERM
	unlock
	disable_services "${missing[@]}"
}

apt_get() {
	DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends \
		-o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@" >&2
}

forbid_services() {
	restore_policy # of a run that was killed
	if [ -e "$policy" ] || [ -L "$policy" ]; then
		mv -- "$policy" "$policy_saved"
	else
		: >"$policy_saved" # empty: there was none
	fi
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
}

restore_policy() {
	[ -e "$policy_saved" ] || [ -L "$policy_saved" ] || return 0
	rm -f -- "$policy"
	if [ -s "$policy_saved" ]; then
		mv -- "$policy_saved" "$policy"
	else
		rm -- "$policy_saved"
	fi
}

# Not at the next boot either, for what was not there before.
disable_services() {
	local package unit
	command -v deb-systemd-helper >/dev/null || return 0
	for package; do
		package=${package%.io} package=${package/#openssh-server/ssh}
		for unit in "$package".service "$package".socket; do
			[ ! -e "/lib/systemd/system/$unit" ] || DPKG_MAINTSCRIPT_PACKAGE=$package deb-systemd-helper disable "$unit" >/dev/null || true
		done
	done
}
