# The Debian packages that muster needs, and a function that installs the missing ones. This file is sourced, not run.
# shellcheck shell=bash

# For the build, besides cargo.
build_packages=(gcc libc6-dev libprotobuf-dev protobuf-compiler)
# For the lab. `muster lab` names the same packages when they are missing.
lab_packages=(iproute2 mmdebstrap mount openssh-client procps systemd-container util-linux)
# For the tests: the servers and tools that muster is tested against.
test_packages=(age bzip2 chromium chromium-driver curl etcd-client etcd-server file fish git make nftables openssh-server openssl prometheus python3-venv tcsh unzip xz-utils zip)

# Installs the named packages that are missing, and prints their names. Asks first, unless $1 is --yes or stdin is not a
# terminal. Servers among the packages are disabled and stopped: the tests start their own.
install_packages() {
    local yes=$1 package missing=() servers=() sudo=()
    shift
    for package; do
        dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed ||
            missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return
    echo "Missing Debian packages: ${missing[*]}" >&2
    if [ "$yes" != --yes ] && [ -t 0 ]; then
        local answer
        read -r -p "Install them? [Y/n] " answer
        case $answer in '' | [Yy]*) ;; *) echo "Nothing was installed." >&2 && return 1 ;; esac
    fi
    if [ "$(id -u)" -ne 0 ]; then
        sudo=(sudo)
        [ -t 0 ] || sudo=(sudo -n)
    fi
    "${sudo[@]}" apt-get update -q >&2
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}" >&2
    [ -d /run/systemd/system ] || return 0
    case " ${missing[*]} " in *" etcd-server "*) servers+=(etcd.service) ;; esac
    case " ${missing[*]} " in *" openssh-server "*) servers+=(ssh.service) ;; esac
    case " ${missing[*]} " in *" prometheus "*) servers+=(prometheus.service) ;; esac
    [ ${#servers[@]} -eq 0 ] || "${sudo[@]}" systemctl disable --quiet --now "${servers[@]}"
}
