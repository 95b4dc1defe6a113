//! The modules of tasks: one file each behind one trait, and their registry.
//!
//! A module describes what it takes ([`Spec`]) and makes an [`Action`] of a task's arguments. It must not reach a host
//! while it does so.

mod acl;
mod add_host;
mod alternatives;
mod apache2_module;
mod application;
mod apt;
mod apt_key;
mod apt_repository;
mod archive;
mod arguments;
mod assemble;
mod assert;
mod async_status;
mod authorized_key;
mod blockinfile;
mod capabilities;
mod command;
mod composer;
mod container;
mod copied_folder;
mod copy;
mod cordon;
mod cron;
mod curl;
mod deb822_repository;
mod debconf;
mod debops_dpkg_divert;
mod debug;
mod deploy_helper;
mod destination;
mod dnf;
mod dnf_config_manager;
mod docker_container;
mod docker_image;
mod docker_values;
mod dpkg_divert;
mod dpkg_selections;
mod drain;
mod edited_file;
mod fail;
mod fetch;
mod file;
mod find;
mod firewalld;
mod foreign_text;
mod gem;
mod get_url;
mod getent;
mod git;
mod git_config;
mod group;
mod haproxy;
mod hostname;
mod htpasswd;
mod include;
mod include_vars;
mod ini_file;
mod ini_section;
mod insertion_place;
mod iptables;
mod join;
mod known_hosts;
mod lineinfile;
mod list_facts;
mod locale_gen;
mod lvg;
mod lvol;
mod make;
mod meta;
mod modprobe;
mod mount;
mod mysql;
mod mysql_db;
mod mysql_privileges;
mod mysql_replication;
mod mysql_user;
mod nagios;
mod npm;
mod openssl_csr;
mod openssl_privatekey;
mod openssl_publickey;
mod package;
mod pam_limits;
mod pause;
mod ping;
mod pip;
mod podman_container;
mod podman_image;
mod postgresql;
mod postgresql_db;
mod postgresql_ext;
mod postgresql_privs;
mod postgresql_user;
mod rabbitmq_plugin;
mod rabbitmq_vhost;
mod raw;
mod reboot;
mod replace;
mod rpm_key;
mod script;
mod script_module;
mod seboolean;
mod selinux_permissive;
mod seport;
mod service;
mod set_fact;
mod set_stats;
mod setup;
mod slurp;
pub mod spec;
mod stat;
mod sweep;
mod synchronize;
mod sysctl;
mod tempfile;
mod template;
mod timezone;
mod ufw;
mod unarchive;
mod unit;
mod uri;
mod user;
pub mod wait_for;
mod wait_for_connection;
mod x509_certificate;
mod yum_repository;
mod zfs;

use std::fmt;
use std::ops::Deref;

pub use arguments::Arguments;
pub use arguments::find_in;
use spec::Spec;

use super::action::Action;

/// A module of a task.
pub trait Module: Send + Sync {
    /// Describes what the module takes.
    fn spec(&self) -> &'static Spec;

    /// Makes the action of a task from its arguments, in which templates are filled in.
    fn action(&self, arguments: &Arguments<'_>) -> Result<Action, String>;

    /// Reports whether the module takes arguments of any name beside its parameters.
    fn takes_any_name(&self) -> bool {
        false
    }

    /// Returns where the module acts.
    fn runs_in(&self) -> RunsIn {
        RunsIn::Host
    }

    /// Reports whether the module runs once for all hosts.
    fn runs_once(&self) -> bool {
        false
    }
}

/// Where a module acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunsIn {
    /// On the host, or in its variables.
    Host,
    /// In the cluster.
    Cluster,
    /// In the inventory of the run.
    Inventory,
    /// In other tasks, with which the hosts go on.
    Tasks,
    /// In the play itself. It has no result.
    Play,
}

/// Every module.
static MODULES: &[&dyn Module] = &[
    &acl::ACL,
    &add_host::AddHost,
    &add_host::GroupBy,
    &alternatives::ALTERNATIVES,
    &apache2_module::APACHE2_MODULE,
    &application::Application,
    &apt::APT,
    &apt_key::APT_KEY,
    &apt_repository::APT_REPOSITORY,
    &archive::ARCHIVE,
    &assemble::Assemble,
    &assert::Assert,
    &async_status::AsyncStatus,
    &authorized_key::AUTHORIZED_KEY,
    &blockinfile::Blockinfile,
    &capabilities::CAPABILITIES,
    &command::Command,
    &command::Shell,
    &composer::Composer,
    &copy::Copy,
    &cordon::Cordon,
    &cordon::Uncordon,
    &cron::CRON,
    &deb822_repository::DEB822_REPOSITORY,
    &debconf::DEBCONF,
    &debops_dpkg_divert::DEBOPS_DPKG_DIVERT,
    &debug::Debug,
    &deploy_helper::DEPLOY_HELPER,
    &dnf::DNF,
    &dnf::DNF5,
    &dnf_config_manager::DNF_CONFIG_MANAGER,
    &dnf::YUM,
    &docker_container::DOCKER_CONTAINER,
    &docker_image::DOCKER_IMAGE,
    &dpkg_divert::DPKG_DIVERT,
    &dpkg_selections::DPKG_SELECTIONS,
    &drain::Drain,
    &fail::Fail,
    &fetch::Fetch,
    &file::File,
    &find::Find,
    &firewalld::FIREWALLD,
    &gem::GEM,
    &get_url::GetUrl,
    &getent::GETENT,
    &git::GIT,
    &git_config::GIT_CONFIG,
    &group::GROUP,
    &haproxy::HAPROXY,
    &hostname::HOSTNAME,
    &htpasswd::HTPASSWD,
    &include::IncludeRole,
    &include::IncludeTasks,
    &include_vars::IncludeVars,
    &ini_file::IniFile,
    &iptables::IPTABLES,
    &join::Join,
    &known_hosts::KNOWN_HOSTS,
    &lineinfile::Lineinfile,
    &list_facts::PackageFacts,
    &list_facts::ServiceFacts,
    &locale_gen::LOCALE_GEN,
    &lvg::LVG,
    &lvol::LVOL,
    &make::MAKE,
    &meta::Meta,
    &modprobe::MODPROBE,
    &mount::MOUNT,
    &mysql_db::MYSQL_DB,
    &mysql_replication::MYSQL_REPLICATION,
    &mysql_user::MysqlUser,
    &nagios::NAGIOS,
    &npm::Npm,
    &x509_certificate::OPENSSL_CERTIFICATE,
    &openssl_csr::OPENSSL_CSR,
    &openssl_privatekey::OPENSSL_PRIVATEKEY,
    &openssl_publickey::OPENSSL_PUBLICKEY,
    &package::PACKAGE,
    &pam_limits::PAM_LIMITS,
    &pause::Pause,
    &ping::Ping,
    &pip::PIP,
    &podman_container::PODMAN_CONTAINER,
    &podman_image::PODMAN_IMAGE,
    &postgresql_db::POSTGRESQL_DB,
    &postgresql_ext::POSTGRESQL_EXT,
    &postgresql_privs::PostgresqlPrivs,
    &postgresql_user::PostgresqlUser,
    &rabbitmq_plugin::RABBITMQ_PLUGIN,
    &rabbitmq_vhost::RABBITMQ_VHOST,
    &raw::Raw,
    &reboot::Reboot,
    &replace::Replace,
    &rpm_key::RPM_KEY,
    &script::Script,
    &seboolean::SEBOOLEAN,
    &seboolean::SELINUX,
    &selinux_permissive::SELINUX_PERMISSIVE,
    &seport::SEPORT,
    &service::SERVICE,
    &service::SYSTEMD,
    &service::SYSTEMD_SERVICE,
    &set_fact::SetFact,
    &set_stats::SetStats,
    &setup::GatherFacts,
    &setup::Setup,
    &slurp::Slurp,
    &stat::Stat,
    &sweep::Sweep,
    &synchronize::Synchronize,
    &sysctl::SYSCTL,
    &tempfile::Tempfile,
    &template::Template,
    &timezone::TIMEZONE,
    &ufw::UFW,
    &unarchive::Unarchive,
    &unit::Unit,
    &uri::URI,
    &user::USER,
    &wait_for::WaitFor,
    &wait_for_connection::WaitForConnection,
    &x509_certificate::X509_CERTIFICATE,
    &yum_repository::YUM_REPOSITORY,
    &zfs::ZFS,
];

/// A module of the registry. Two are equal if they have the same name.
#[derive(Clone, Copy)]
pub struct ModuleRef(&'static dyn Module);

impl ModuleRef {
    /// Returns every module.
    pub fn all() -> impl Iterator<Item = Self> {
        MODULES.iter().copied().map(Self)
    }

    /// Returns the module with a name, which may begin with one of its collections: `ansible.builtin.copy`.
    pub fn named(name: &str) -> Option<Self> {
        let (collection, short) = name.rsplit_once('.').unwrap_or(("", name));
        // Ansible before 2.16 called it so.
        let short = if short == "include" { "include_tasks" } else { short };
        let is_known = |spec: &Spec| collection.is_empty() || spec.collections.contains(&collection);
        // The name of a module itself has a collection if there is another module with its short name.
        Self::all().find(|module| module.name() == name || module.name() == short && is_known(module.spec()))
    }

    /// Returns the module's name in a playbook.
    pub fn name(self) -> &'static str {
        self.0.spec().name
    }

    /// Returns the folder in which `with_first_found` looks for the files of its tasks, as in Ansible.
    pub fn kind_of_files(self) -> &'static str {
        match self.name() {
            "template" => "templates",
            "include_vars" => "vars",
            _ => "files",
        }
    }
}

impl Deref for ModuleRef {
    type Target = dyn Module;

    fn deref(&self) -> &Self::Target {
        self.0
    }
}

impl fmt::Debug for ModuleRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl PartialEq for ModuleRef {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::ModuleRef;

    #[test]
    fn names_and_parameters_are_unique_and_sets_name_parameters() {
        let names: Vec<&str> = ModuleRef::all().map(ModuleRef::name).collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{names:?}");
        for module in ModuleRef::all() {
            let spec = module.spec();
            let all = spec.parameters().flat_map(|it| [it.name].into_iter().chain(it.aliases.iter().copied()));
            let all: Vec<&str> = all.collect();
            assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len(), "{}: {all:?}", spec.name);
            let mut sets = spec.one_of.iter().chain(spec.exclusive).flat_map(|set| set.iter());
            assert!(sets.all(|name| spec.names().contains(name)), "{}", spec.name);
            assert!(spec.summary.ends_with('.') && spec.parameters().all(|it| it.summary.ends_with('.')));
        }
    }

    #[test]
    fn a_name_may_begin_with_the_collection_of_the_module() {
        let named = |name| ModuleRef::named(name).map(ModuleRef::name);
        assert_eq!(named("ansible.builtin.copy"), Some("copy"));
        assert_eq!(named("debops.debops.dpkg_divert"), Some("debops.debops.dpkg_divert"));
        assert_eq!(["dpkg_divert", "community.general.dpkg_divert"].map(named), [Some("dpkg_divert"); 2]);
        assert_eq!([named("community.general.copy"), named("ansible.builtin.unit"), named("cop")], [None; 3]);
    }
}
