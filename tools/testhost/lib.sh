# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Shared by the scripts of this directory: the cache, and kernels from Debian.
# Sourced, never executed; the caller must have set -euo pipefail.

prog=${0##*/}
umask 022
# mkfs and depmod are there, which a user's PATH often lacks.
PATH=$PATH:/usr/sbin:/sbin
cache=${XDG_CACHE_HOME:-$HOME/.cache}/testhost

say() { printf '%s: %s\n' "$prog" "$*" >&2; }
die() { say "$*"; exit "${die_status:-1}"; }

# usage [STATUS] - prints the comment at the top of the script.
usage() {
	sed -n '2,${/^#/!q;/SPDX/d;s/^# \{0,1\}//p}' "$0" >&2
	exit "${1:-${die_status:-2}}"
}

# need TOOL[:PACKAGE]... - fails with the list of the packages that are missing.
need() {
	local t missing=()
	for t; do command -v "${t%%:*}" >/dev/null || missing+=("${t##*:}"); done
	[ ${#missing[@]} -eq 0 ] ||
		die "missing Debian packages: ${missing[*]} (\`make deps' installs them)"
}

# lock NAME, unlock - one process at a time fills that part of the cache.
lock() {
	mkdir -p "$cache"
	exec {lock_fd}>"$cache/.lock-$1"
	flock "$lock_fd"
}
unlock() { exec {lock_fd}>&-; }

# make_cpio DIR OUT - DIR as an initramfs. Not compressed: to copy it into place
# takes less time than to unpack it where the processor is emulated.
make_cpio() {
	(cd "$1" && find . | LC_ALL=C sort | cpio -o -H newc -R 0:0 --quiet) >"$2.tmp"
	mv "$2.tmp" "$2"
}

# The machine's package lists serve as long as they do. A machine may have none
# (containers), or old ones that name packages no longer offered; then we fetch
# our own into the cache, which takes no rights and leaves the machine's alone.
# apt's sandbox user often cannot write here: fetching as the caller is fine.
apt_opts=(-o APT::Sandbox::User=root)
own_lists() {
	say "fetching package lists into $cache/apt"
	mkdir -p "$cache"/apt/{lists,archives}/partial
	apt_opts+=(-o "Dir::State::lists=$cache/apt/lists" -o "Dir::Cache=$cache/apt")
	apt-get -qq "${apt_opts[@]}" update >&2 ||
		die "apt-get update failed: is the network there, and /etc/apt in order?"
}

# other_release RELEASE - from here on apt knows that release of Debian and no other, by
# lists in the cache; the machine's own lists and sources are neither read nor changed.
other_release() {
	local dir=$cache/apt-$1
	say "fetching package lists of $1 into $dir"
	mkdir -p "$dir"/{lists,archives}/partial
	printf 'deb [signed-by=%s] %s %s main\n' /usr/share/keyrings/debian-archive-keyring.gpg \
		http://deb.debian.org/debian "$1" >"$dir/sources.list"
	apt_opts+=(-o "Dir::Etc::sourcelist=$dir/sources.list" -o Dir::Etc::sourceparts=-
		-o "Dir::State::lists=$dir/lists" -o "Dir::Cache=$dir"
		-o Dir::State::status=/dev/null -o APT::Get::List-Cleanup=0)
	apt-get -qq "${apt_opts[@]}" update >&2 || die "the package lists of $1 cannot be fetched"
}

# kernel_package META - what the package META depends on now; nothing if unknown.
kernel_package() {
	{ apt-cache "${apt_opts[@]}" show --no-all-versions "$1" 2>/dev/null || true; } |
		sed -n 's/^Depends: \(linux-image-[^ ,]*\).*/\1/p' | head -n 1
}

# try_deb PACKAGE DIR - downloads PACKAGE and unpacks it into DIR, which appears
# only when complete; 1 if it could not be had. Nothing is installed.
try_deb() {
	local tmp="$2.tmp.$$"
	rm -rf "$tmp" && mkdir -p "$tmp/tree"
	if [ -n "$1" ] && (cd "$tmp" && apt-get -qq "${apt_opts[@]}" download "$1" >&2); then
		dpkg-deb -x "$tmp"/*.deb "$tmp/tree" && mv "$tmp/tree" "$2" && rm -rf "$tmp" && return
	fi
	rm -rf "$tmp"
	return 1
}

# unpack_deb PACKAGE DIR - the same, with fresh package lists before giving up.
unpack_deb() {
	need apt-get:apt dpkg-deb:dpkg
	try_deb "$1" "$2" && return
	own_lists
	try_deb "$1" "$2" || die "apt-get download $1 failed"
}

# extract_vmlinux BZIMAGE OUT - the ELF kernel inside a bzImage. Booted by its
# PVH entry it skips the decompressor, which costs about a second under TCG.
extract_vmlinux() {
	local sects off len magic
	sects=$(od -An -tu1 -j 497 -N 1 "$1")
	off=$(od -An -tu4 -j 584 -N 4 "$1")
	len=$(od -An -tu4 -j 588 -N 4 "$1")
	off=$((off + (sects + 1) * 512))
	magic=$(od -An -tx1 -j "$off" -N 4 "$1" | tr -d ' ')
	# All but gzip carry four more bytes (the unpacked size) after the stream.
	local -A unpack=([fd377a58]='xz -dc' [28b52ffd]='zstd -qdc'
		[02214c18]='lz4 -dc' [1f8b0800]='gzip -dc')
	[ -n "${unpack[$magic]-}" ] || die "$1: unknown compression $magic"
	need xz:xz-utils zstd lz4 gzip
	[ "$magic" = 1f8b0800 ] || len=$((len - 4))
	# shellcheck disable=SC2086  # the command is meant to split
	tail -c "+$((off + 1))" "$1" | head -c "$len" | ${unpack[$magic]} >"$2.tmp" || true
	[ "$(head -c 4 "$2.tmp")" = $'\177ELF' ] || die "$1: no ELF kernel found inside"
	mv "$2.tmp" "$2"
}

# debian_kernel META [RELEASE] - prints the directory of an unpacked Debian kernel image,
# META being linux-image-amd64 or linux-image-cloud-amd64; made on first use:
#   version, config, vmlinuz, vmlinux, lib/modules/VERSION (with depmod's index).
# Of this machine's release of Debian, or of another one.
debian_kernel() {
	local name=$1${2:+-$2}
	if [ ! -e "$cache/$name/version" ]; then
		lock "$name"
		[ -e "$cache/$name/version" ] || fetch_debian_kernel "$1" "$cache/$name" "${2-}"
		unlock
	fi
	printf '%s\n' "$cache/$name"
}
fetch_debian_kernel() {
	local dir=$2 pkg ver
	need apt-get:apt dpkg-deb:dpkg od:coreutils xz:xz-utils depmod:kmod
	say "fetching $1 (once)"
	rm -rf "$dir"
	[ -z "$3" ] || other_release "$3"
	pkg=$(kernel_package "$1")
	if ! try_deb "$pkg" "$dir"; then
		own_lists
		pkg=$(kernel_package "$1")
		[ -n "$pkg" ] || die "apt knows no $1: does /etc/apt name Debian's main archive?"
		try_deb "$pkg" "$dir" || die "apt-get download $pkg failed"
	fi
	ver=${pkg#linux-image-}
	mv "$dir/boot/vmlinuz-$ver" "$dir/vmlinuz"
	mv "$dir/boot/config-$ver" "$dir/config"
	# Only the modules are wanted besides; newer packages have them in usr/lib.
	[ -d "$dir/lib" ] || mv "$dir/usr/lib" "$dir/lib"
	rm -rf "${dir:?}/boot" "${dir:?}/usr"
	depmod -b "$dir" "$ver"
	extract_vmlinux "$dir/vmlinuz" "$dir/vmlinux"
	printf '%s\n' "$ver" >"$dir/version"
}

# copy_modules KERNEL_DIR DEST MODULE... - copies the modules and all they
# depend on into DEST, uncompressed, and writes DEST/order: one file name a
# line, every module after those it needs. Names that are built in are skipped.
copy_modules() {
	local kdir=$1 dest=$2 ver base
	shift 2
	ver=$(<"$kdir/version")
	base=$kdir/lib/modules/$ver
	mkdir -p "$dest"
	# modules.dep lists a module's needs last-first: "a.ko: b.ko c.ko" wants c, b, a.
	awk -v want="$*" '
		function name(p) { sub(/.*\//, "", p); sub(/\.ko.*/, "", p); gsub(/-/, "_", p); return p }
		{ f = $1; sub(/:$/, "", f); path[name(f)] = f; $1 = ""; deps[name(f)] = $0 }
		END {
			n = split(want, w, " ")
			for (i = 1; i <= n; i++) {
				m = w[i]; gsub(/-/, "_", m)
				if (!(m in path)) continue
				k = split(deps[m], d, " ")
				for (j = k; j > 0; j--) if (!seen[d[j]]++) print d[j]
				if (!seen[path[m]]++) print path[m]
			}
		}' "$base/modules.dep" |
	while read -r f; do
		local out=${f##*/}
		case $f in
		*.xz) out=${out%.xz}; xz -dc "$base/$f" >"$dest/$out" ;;
		*.zst) out=${out%.zst}; zstd -qdc "$base/$f" >"$dest/$out" ;;
		*) cp "$base/$f" "$dest/$out" ;;
		esac
		printf '%s\n' "$out"
	done >"$dest/order"
}
