package faults

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"shoal/e2e/cluster"
)

// TestOpenUploadGrows lets a store of one node grow to three and to six around an upload that stays open: its parts are coded anew each
// time, two nodes are lost and come back, and what is completed in the end is of the present profile and reads as it was written.
func TestOpenUploadGrows(t *testing.T) {
	atLength(t)
	t.Parallel()
	c := cluster.Launch(t, cluster.Shape{Nodes: 1})
	r := rand.New(rand.NewPCG(newSeed(t), 5))
	const bucket, key = "open", "upload"
	s := c.S3()
	_, err := s.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String(bucket)})
	must(t, err)
	up, err := s.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: aws.String(bucket), Key: aws.String(key)})
	must(t, err)
	var whole []byte
	done := &types.CompletedMultipartUpload{}
	part := func() { // of two chunks
		t.Helper()
		body := make([]byte, 5<<20+r.IntN(1<<20))
		for i := range body {
			body[i] = byte(r.Uint32())
		}
		number := aws.Int32(int32(len(done.Parts) + 1))
		out, err := s.UploadPart(t.Context(), &s3.UploadPartInput{Bucket: aws.String(bucket), Key: aws.String(key), UploadId: up.UploadId, PartNumber: number, Body: bytes.NewReader(body)})
		must(t, err)
		whole, done.Parts = append(whole, body...), append(done.Parts, types.CompletedPart{PartNumber: number, ETag: out.ETag})
	}
	part()
	part()
	for range 2 {
		c.AddNode("default")
	}
	coded(t, c, map[string]int64{"2+1": 4})
	part()
	for range 3 {
		c.AddNode("default")
	}
	coded(t, c, map[string]int64{"4+2": 6})
	for _, p := range c.Nodes()[4:] { // as many as 4+2 bears, and 2+1 does not
		p.Kill()
	}
	_, err = s.CompleteMultipartUpload(t.Context(), &s3.CompleteMultipartUploadInput{Bucket: aws.String(bucket), Key: aws.String(key), UploadId: up.UploadId, MultipartUpload: done})
	must(t, err)
	eventually(t, time.Minute, func() error { return holds(t.Context(), s, bucket, key, whole) })
	for _, p := range c.Nodes()[4:] {
		p.Start()
		p.WaitReady()
	}
	waitRedundant(t, c)
	coded(t, c, map[string]int64{"4+2": 6})
	must(t, holds(t.Context(), s, bucket, key, whole))
}
