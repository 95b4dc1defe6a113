//! Whether a host is a guest of a hypervisor, a container or a host of guests.

use super::hardware::dmi;
use super::host_text::HostText;
use super::platform::facts;
use crate::inventory::Vars;

/// The technologies that were found. The first one is the type.
#[derive(Default)]
struct Found {
    kind: Option<String>,
    role: Option<&'static str>,
    guest: Vec<String>,
    host: Vec<String>,
}

impl Found {
    fn add(&mut self, kind: &str, role: &'static str) {
        let list = if role == "host" { &mut self.host } else { &mut self.guest };
        if !list.iter().any(|it| it == kind) {
            list.push(kind.to_owned());
        }
        if self.kind.is_none() {
            (self.kind, self.role) = (Some(kind.to_owned()), Some(role));
        }
    }

    fn add_if(&mut self, is_there: bool, kind: &str, role: &'static str) {
        if is_there {
            self.add(kind, role);
        }
    }
}

/// Returns the facts `virtualization_*`.
pub(super) fn virtualization(text: &HostText<'_>) -> Vars {
    let mut found = Found::default();
    container(text, &mut found);
    firmware(text, &mut found);
    kernel(text, &mut found);
    facts([
        ("virtualization_type", found.kind.as_deref().unwrap_or("NA").into()),
        ("virtualization_role", found.role.unwrap_or("NA").into()),
        ("virtualization_tech_guest", found.guest.into()),
        ("virtualization_tech_host", found.host.into()),
    ])
}

/// Looks for the traces of containers.
fn container(text: &HostText<'_>, found: &mut Found) {
    for line in text.lines("/proc/1/cgroup") {
        let in_scope = line.split_once("/docker-").is_some_and(|(_, rest)| rest.contains(".scope"));
        found.add_if(line.contains("/docker/") || in_scope, "docker", "guest");
        found.add_if(line.contains("/lxc/") || line.contains("/machine.slice/machine-lxc"), "lxc", "guest");
        found.add_if(line.contains("/system.slice/containerd.service"), "containerd", "guest");
    }
    for line in text.lines("container") {
        found.add_if(line.contains("container=lxc"), "lxc", "guest");
        found.add_if(line.contains("container=podman"), "podman", "guest");
        found.add_if(line.len() > "container=".len(), "container", "guest");
    }
    if text.exists("/proc/vz") && !text.exists("/proc/lve") {
        found.add("openvz", if text.exists("/proc/bc") { "host" } else { "guest" });
    }
    let of_systemd = text.line("/run/systemd/container");
    if let Some(kind) = of_systemd {
        found.add(kind, "guest");
    }
    found.add_if(text.exists("/.dockerenv") || text.exists("/.dockerinit"), "docker", "guest");
    let is_container = |kind: &String| ["docker", "lxc", "podman", "openvz", "containerd"].contains(&kind.as_str());
    let known = found.guest.iter().any(is_container) || of_systemd.is_some();
    found.add_if(known, "container", "guest");
}

/// Looks for the names of hypervisors in the firmware.
fn firmware(text: &HostText<'_>, found: &mut Found) {
    if text.exists("/proc/xen") {
        let is_host = text.line("/proc/xen/capabilities").is_some_and(|line| line.contains("control_d"));
        if is_host {
            found.add("xen", "host");
        } else if found.kind.is_none() {
            (found.kind, found.role) = (Some("xen".to_owned()), Some("guest"));
        }
    }
    let value = |name| dmi(text, name).unwrap_or_default();
    let (product, vendor, bios) = (value("product_name"), value("sys_vendor"), value("bios_vendor"));
    let by_product = ["KVM", "KVM Server", "Bochs", "AHV", "CloudStack KVM Hypervisor"].contains(&product);
    found.add_if(by_product, "kvm", "guest");
    found.add_if(vendor == "oVirt", "oVirt", "guest");
    if vendor == "Red Hat" {
        let is_rhv = value("product_family") == "RHV";
        found.add_if(is_rhv, "RHV", "guest");
        found.add_if(!is_rhv && product == "RHEV Hypervisor", "RHEV", "guest");
    }
    found.add_if(product.starts_with("VMware"), "VMware", "guest");
    found.add_if(["OpenStack Compute", "OpenStack Nova"].contains(&product), "openstack", "guest");
    found.add_if(bios == "Xen", "xen", "guest");
    found.add_if(bios == "innotek GmbH", "virtualbox", "guest");
    found.add_if(["Amazon EC2", "DigitalOcean", "Hetzner", "Linode"].contains(&bios), "kvm", "guest");
    let of_kvm = ["QEMU", "Amazon EC2", "DigitalOcean", "Google", "Scaleway", "Nutanix"];
    found.add_if(of_kvm.contains(&vendor), "kvm", "guest");
    for (name, kind) in [
        ("KubeVirt", "KubeVirt"),
        ("Microsoft Corporation", "VirtualPC"),
        ("Parallels Software International Inc.", "parallels"),
        ("OpenStack Foundation", "openstack"),
    ] {
        found.add_if(vendor == name, kind, "guest");
    }
    found.add_if(product.contains("BHYVE"), "bhyve", "guest");
}

/// Looks for the names of hypervisors in what the kernel says of processors and modules.
fn kernel(text: &HostText<'_>, found: &mut Found) {
    if let Some(id) = text.lines("status").find_map(|line| line.strip_prefix("VxID:")) {
        found.add("linux_vserver", if id.trim().starts_with('0') { "host" } else { "guest" });
    }
    for (key, value) in text.lines("cpu").filter_map(|line| line.split_once(':')) {
        let (key, has) = (key.trim(), |word: &str| value.contains(word));
        found.add_if(key == "model name" && has("QEMU Virtual CPU"), "kvm", "guest");
        let is_uml = (key == "vendor_id" && has("User Mode Linux")) || (key == "model name" && has("UML"));
        found.add_if(is_uml, "uml", "guest");
        found.add_if(key == "machine" && has("CHRP IBM pSeries (emulated by qemu)"), "kvm", "guest");
        found.add_if(key == "vendor_id" && has("PowerVM Lx86"), "powervm_lx86", "guest");
        found.add_if(key == "vendor_id" && has("IBM/S390"), "PR/SM", "LPAR");
    }
    let has_module = |name: &str| text.lines("modules").any(|line| line.split(' ').next() == Some(name));
    found.add_if(has_module("kvm"), "kvm", "host");
    found.add_if(has_module("vboxdrv"), "virtualbox", "host");
    if has_module("virtio") {
        let is_first = found.kind.is_none();
        found.add("kvm", "host");
        found.role = if is_first { Some("guest") } else { found.role };
    }
    found.add_if(text.exists("/dev/kvm"), "kvm", "host");
}
