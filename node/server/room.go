package server

import (
	"shoal/node/api"
	"shoal/node/meta"
)

// refuseGrowth answers commands that make the metadata grow while its disk is nearly full: a log
// that cannot be written ends the process, so that point must not be reached. Deletions and what
// keeps the store going are let through; they need little and give space back.
func (s *Server) refuseGrowth(cmd *meta.Command) error {
	if s.Full == nil || !s.Full() {
		return nil
	}
	grows := false
	switch op := cmd.Op.(type) {
	case *meta.Command_PutVersion, *meta.Command_CreateUpload, *meta.Command_PutPart, *meta.Command_CompleteUpload,
		*meta.Command_CreateBucket, *meta.Command_SetBucketConfig:
		grows = true
	case *meta.Command_AlterVersion: // retentions and holds need no room to speak of
		grows = len(op.AlterVersion.GetTags()) > 0 || len(op.AlterVersion.GetAcl()) > 0
	}
	if grows {
		return &api.Error{Kind: api.StorageFull, Op: "server.Propose", Detail: "The disk of the metadata is nearly full."}
	}
	return nil
}
