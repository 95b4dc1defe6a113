//! The families of distributions.

/// The families with more than one distribution, and the distributions in them.
const FAMILIES: [(&str, &str); 6] = [
    (
        "RedHat",
        "RHEL|Fedora|CentOS|Scientific|SLC|Ascendos|CloudLinux|PSBM|OracleLinux|OVS|OEL|Amazon|Amzn|Virtuozzo|XenServer|\
         Alibaba|EulerOS|openEuler|AlmaLinux|Rocky|TencentOS|EuroLinux|Kylin Linux Advanced Server|MIRACLE",
    ),
    (
        "Debian",
        "Ubuntu|Raspbian|Neon|KDE neon|Linux Mint|SteamOS|Devuan|Kali|Cumulus Linux|Pop!_OS|Parrot|Pardus GNU/Linux|\
         Uos|Deepin|OSMC|Linux Mint Debian Edition",
    ),
    (
        "Suse",
        "SuSE|SLES|SLED|openSUSE|openSUSE Tumbleweed|SLES_SAP|SUSE_LINUX|openSUSE Leap|ALP-Dolomite|SL-Micro|\
         openSUSE MicroOS",
    ),
    ("Archlinux", "Antergos|Manjaro"),
    ("Mandrake", "Mandriva"),
    ("Gentoo", "Funtoo"),
];

/// Returns the family of a distribution: itself, if it belongs to no other one.
pub(super) fn os_family(distribution: &str) -> &str {
    let family = FAMILIES.iter().find(|(_, members)| members.split('|').any(|member| member == distribution));
    family.map_or(distribution, |(family, _)| family)
}
