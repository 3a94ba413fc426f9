package server

import (
	"context"

	"shoal/node/api"
	"shoal/node/consensus"
	"shoal/node/meta"
)

// beforeForgetting has a bucket closed by its own group before the directory forgets its name, whatever whoever asks for
// that says: a bucket that is forgotten with versions in it is a bucket whose locked versions nobody can read any more.
// What is closed here is empty, and stays so.
func (s *Server) beforeForgetting(ctx context.Context, g consensus.GroupID, cmd *meta.Command) error {
	f := cmd.GetFinishDeleteBucket()
	if f == nil || g != consensus.SystemGroup {
		return nil
	}
	a, err := s.Query(ctx, g, &meta.Query{Q: &meta.Query_Bucket{Bucket: &meta.BucketQuery{Name: f.GetName()}}})
	if err != nil {
		return err
	}
	b := a.GetBucket()
	refused := func(kind api.Kind, detail string) error {
		return &api.Error{Kind: kind, Op: "server.Propose", Bucket: f.GetName(), Detail: detail}
	}
	switch {
	case b.GetId() != f.GetId():
		return refused(api.NoSuchBucket, "")
	case b.GetState() != meta.BucketState_BUCKET_DELETING || b.GetDeleteEpoch() != f.GetEpoch():
		return refused(api.OperationAborted, "Another deletion of the bucket is newer.")
	}
	return s.buckets.CloseBucket(ctx, b)
}
