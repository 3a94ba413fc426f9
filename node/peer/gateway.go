package peer

import (
	"shoal/node/api"
	"shoal/node/meta"
	"shoal/p2p"
)

// gatewayMay tells whether a command is one that the operations of S3 and the management of identities consist of. All
// others are for nodes alone: what a version's content is made of, where shards, groups and members are, the keys, what
// waits to be dropped. Who has taken a gateway over must not decide about those: it could give a locked version other
// content, or have what is needed to read it forgotten.
func gatewayMay(cmd *meta.Command) bool {
	switch cmd.Op.(type) {
	case *meta.Command_CreateBucket, *meta.Command_FinishCreateBucket, *meta.Command_PrepareSite,
		*meta.Command_BeginDeleteBucket, *meta.Command_FinishDeleteBucket, *meta.Command_CancelDeleteBucket,
		*meta.Command_FenceBucket, *meta.Command_UnfenceBucket, *meta.Command_SetBucketConfig, *meta.Command_SetObjectLock,
		*meta.Command_PutVersion, *meta.Command_DeleteObjects, *meta.Command_AlterVersion, *meta.Command_RenameObject,
		*meta.Command_CreateUpload, *meta.Command_PutPart, *meta.Command_CompleteUpload, *meta.Command_AbortUpload,
		*meta.Command_Condemn, // of its own uploads that have failed, so that their shards go at once: what lives is not condemned
		*meta.Command_PutCredential, *meta.Command_DeleteCredential, *meta.Command_PutIdentity, *meta.Command_DeleteIdentity,
		*meta.Command_SetReadOnly, *meta.Command_NoteKeyUses:
		return true
	}
	return false
}

// forNodes are the acts of operators that decide who belongs to the cluster, who may connect to it and what it is made of. They are done at the
// management port of a node: who has taken a gateway over must not make itself a node, nor nodes strangers.
var forNodes = map[string]bool{"invite": true, "allow": true, "set-member": true, "revoke": true, "remove-drive": true, "set-peer-rule": true}

// mayAdmin refuses acts of operators that are not for the member that sends them.
func mayAdmin(from p2p.Peer, what string) error {
	if from.Roles.Has(p2p.RoleNode) || !forNodes[what] {
		return nil
	}
	return &api.Error{Kind: api.AccessDenied, Op: "peer.admin", Detail: "A gateway does not change members, rules for addresses of peers or drives: ask the management port of a node."}
}

// mayPropose refuses commands that are not for the member that sends them.
func mayPropose(from p2p.Peer, cmd *meta.Command) error {
	if from.Roles.Has(p2p.RoleNode) || gatewayMay(cmd) {
		return nil
	}
	return &api.Error{Kind: api.AccessDenied, Op: "peer.propose", Detail: "Only a node may send this command."}
}
