//! Real systemd hosts in the lab, real sshd, real etcd.
