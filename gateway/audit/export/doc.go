// Package export delivers records of the access log and the log of acts to where they are kept beside the disk: to
// webhooks, syslog servers and Kafka topics. docs/formats/audit-export.md says what is sent.
//
// What holds: a batch that was delivered without an error has been read by the other side: a webhook answered with
// 2xx, a syslog server took the end of the connection, all in-sync replicas of a partition have the records.
// Addresses are looked at when connecting, after names were resolved: loopback, link-local, multicast and
// unspecified addresses and those of cloud metadata are refused, unless the target's Allow names them. No proxy of the
// environment is used, and no redirect is followed.
package export
