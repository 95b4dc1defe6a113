//! The keywords of ssh_config(5), by what muster does with them. This module is pure.

/// What muster does with a keyword.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Support {
    /// muster obeys it.
    Obeyed,
    /// It is about something that muster never does, or does without being told.
    NoEffect,
    /// It changes in OpenSSH how a host is reached, and muster ignores it.
    Ignored,
    /// OpenSSH does not know it.
    Unknown,
}

/// The keywords that [`super::resolve`] obeys.
const OBEYED: [&str; 20] = [
    "certificatefile",
    "connecttimeout",
    "globalknownhostsfile",
    "hashknownhosts",
    "hostkeyalias",
    "hostname",
    "identitiesonly",
    "identityagent",
    "identityfile",
    "port",
    "proxycommand",
    "proxyjump",
    "revokedhostkeys",
    "serveralivecountmax",
    "serveraliveinterval",
    "stricthostkeychecking",
    "user",
    "userknownhostsfile",
    // These make the structure of a file, and say which keywords are no mistakes.
    "ignoreunknown",
    "include",
];

/// The obeyed keywords that the store may hold for a machine. They run no program and write no file on the host where
/// muster runs: a process that may write to the store must not be able to do that either.
const KEPT: [&str; 9] = [
    "certificatefile",
    "connecttimeout",
    "globalknownhostsfile",
    "hostkeyalias",
    "hostname",
    "identitiesonly",
    "identityagent",
    "serveralivecountmax",
    "serveraliveinterval",
];

/// Terminals, forwarding, shared connections, logging and questions to a user.
const NO_EFFECT: [&str; 44] = [
    "addkeystoagent",
    "batchmode",
    "checkhostip",
    "clearallforwardings",
    "compression",
    "controlmaster",
    "controlpath",
    "controlpersist",
    "dynamicforward",
    "enableescapecommandline",
    "enablesshkeysign",
    "escapechar",
    "exitonforwardfailure",
    "fingerprinthash",
    "forkafterauthentication",
    "forwardagent",
    "forwardx11",
    "forwardx11timeout",
    "forwardx11trusted",
    "gatewayports",
    "ipqos",
    "localcommand",
    "localforward",
    "loglevel",
    "logverbose",
    "numberofpasswordprompts",
    "passwordauthentication",
    "permitlocalcommand",
    "permitremoteopen",
    "pubkeyauthentication",
    "rekeylimit",
    "remotecommand",
    "remoteforward",
    "requesttty",
    "sendenv",
    "sessiontype",
    "stdinnull",
    "streamlocalbindmask",
    "streamlocalbindunlink",
    "syslogfacility",
    "tcpkeepalive",
    "tunnel",
    "visualhostkey",
    "xauthlocation",
];

/// Addresses, algorithms, other ways to log in and to know a host.
const IGNORED: [&str; 54] = [
    "addressfamily",
    "bindaddress",
    "bindinterface",
    "canonicaldomains",
    "canonicalizefallbacklocal",
    "canonicalizehostname",
    "canonicalizemaxdots",
    "canonicalizepermittedcnames",
    "casignaturealgorithms",
    "challengeresponseauthentication",
    "channeltimeout",
    "cipher",
    "ciphers",
    "connectionattempts",
    "dsaauthentication",
    "gssapiauthentication",
    "gssapiclientidentity",
    "gssapidelegatecredentials",
    "gssapikexalgorithms",
    "gssapikeyexchange",
    "gssapirenewalforcesrekey",
    "gssapiserveridentity",
    "gssapitrustdns",
    "hostbasedacceptedalgorithms",
    "hostbasedauthentication",
    "hostbasedkeytypes",
    "hostkeyalgorithms",
    "kbdinteractiveauthentication",
    "kbdinteractivedevices",
    "kexalgorithms",
    "keepalive",
    "knownhostscommand",
    "macs",
    "nohostauthenticationforlocalhost",
    "obscurekeystroketiming",
    "pkcs11provider",
    "preferredauthentications",
    "protocol",
    "proxyusefdpass",
    "pubkeyacceptedalgorithms",
    "pubkeyacceptedkeytypes",
    "refuseconnection",
    "requiredrsasize",
    "rhostsrsaauthentication",
    "rsaauthentication",
    "securitykeyprovider",
    "setenv",
    "skeyauthentication",
    "smartcarddevice",
    "tag",
    "tunneldevice",
    "updatehostkeys",
    "useprivilegedport",
    "verifyhostkeydns",
];

/// Reports whether the store may hold a keyword in lower case.
pub(crate) fn is_kept(keyword: &str) -> bool {
    KEPT.contains(&keyword)
}

/// Returns what muster does with a keyword in lower case.
pub(crate) fn support(keyword: &str) -> Support {
    let known = [(&OBEYED[..], Support::Obeyed), (&NO_EFFECT[..], Support::NoEffect), (&IGNORED[..], Support::Ignored)];
    let found = known.into_iter().find(|(keywords, _)| keywords.contains(&keyword));
    found.map_or(Support::Unknown, |(_, support)| support)
}
