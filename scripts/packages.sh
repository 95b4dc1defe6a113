# Debian packages: which are needed for what, and installing those that are missing. Sourced, not run.
# shellcheck shell=bash

# What cargo needs besides itself.
build_packages=(gcc libc6-dev libprotobuf-dev protobuf-compiler)
# What the lab needs: `muster lab` names the same ones when they are missing.
lab_packages=(iproute2 mmdebstrap mount openssh-client procps systemd-container util-linux)
# What the tests compare muster with and try it against.
test_packages=(etcd-client etcd-server nftables openssh-server openssl)

# Installs those of the named packages that are missing, and says which. Asks first, unless $1 is --yes or nobody is
# at a terminal to answer. Servers among them are not left running: they are here to be started by tests.
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
    [ ${#servers[@]} -eq 0 ] || "${sudo[@]}" systemctl disable --quiet --now "${servers[@]}"
}
