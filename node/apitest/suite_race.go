package apitest

import (
	"bytes"
	"fmt"
	"sync"
	"sync/atomic"

	"shoal/node/api"
)

const racers = 20

// race runs f at once from many goroutines and counts those that succeeded; the errors
// of the others must be of one of the kinds.
func (r *rig) race(f func(i int) error, kinds ...api.Kind) int {
	var wins atomic.Int64
	var wait sync.WaitGroup
	start := make(chan struct{})
	for i := range racers {
		wait.Add(1)
		go func() {
			defer wait.Done()
			<-start
			err := f(i)
			if err == nil {
				wins.Add(1)
				return
			}
			for _, k := range kinds {
				if api.KindOf(err) == k {
					return
				}
			}
			r.Errorf("racer %d: %v", i, err)
		}()
	}
	close(start)
	wait.Wait()
	return int(wins.Load())
}

// testOneWinner lets many writers race for one key: one wins, and it is theirs.
func testOneWinner(r *rig) {
	for _, size := range []int{100, 100_000} {
		key := fmt.Sprint("k", size)
		var winner atomic.Int64
		wins := r.race(func(i int) error {
			req := r.putRequest(key, noise(uint64(i), size))
			req.If.IfNoneMatch = true
			_, err := r.Objects.Put(r.ctx, req)
			if err == nil {
				winner.Store(int64(i))
			}
			return err
		}, api.PreconditionFailed, api.ConditionalConflict)
		if wins != 1 {
			r.Errorf("%d writers won with If-None-Match", wins)
		}
		r.holds(key, noise(uint64(winner.Load()), size))
		old := etag(noise(uint64(winner.Load()), size))
		wins = r.race(func(i int) error {
			req := r.putRequest(key, noise(uint64(100+i), size))
			req.If.IfMatch = old
			_, err := r.Objects.Put(r.ctx, req)
			if err == nil {
				winner.Store(int64(100 + i))
			}
			return err
		}, api.PreconditionFailed, api.ConditionalConflict)
		if wins != 1 {
			r.Errorf("%d writers won with If-Match", wins)
		}
		r.holds(key, noise(uint64(winner.Load()), size))
		current := etag(noise(uint64(winner.Load()), size))
		wins = r.race(func(int) error {
			_, err := r.Objects.Delete(r.ctx, &api.DeleteObject{Bucket: r.bucket, DeleteItem: api.DeleteItem{Key: key, If: api.Condition{IfMatch: current}}})
			return err
		}, api.PreconditionFailed, api.NoSuchKey, api.ConditionalConflict)
		if wins != 1 {
			r.Errorf("%d deletions won with If-Match", wins)
		}
		r.gone(key)
	}
	if wins := r.race(func(int) error {
		_, err := r.Buckets.CreateBucket(r.ctx, api.CreateBucket{Name: r.bucket + "-race", Owner: owner})
		return err
	}, api.BucketOwned, api.OperationAborted); wins != 1 {
		r.Errorf("%d made the same bucket", wins)
	}
	r.race(func(i int) error {
		if i%4 == 0 {
			return r.Buckets.DeleteBucket(r.ctx, r.bucket+"-race")
		}
		_, err := r.Objects.Put(r.ctx, &api.PutObject{Bucket: r.bucket + "-race", Key: fmt.Sprint(i), Size: 1, Body: bytes.NewReader([]byte("x"))})
		return err
	}, api.NoSuchBucket, api.BucketNotEmpty, api.OperationAborted)
	r.bucketWholeOrGone(r.bucket + "-race")
}

// bucketWholeOrGone checks that a bucket that keys and a deletion raced for is either
// there with its keys or gone with all of them.
func (r *rig) bucketWholeOrGone(bucket string) {
	_, headErr := r.Buckets.HeadBucket(r.ctx, bucket)
	page, listErr := r.Objects.List(r.ctx, &api.ListObjects{Bucket: bucket, Max: 1000})
	switch {
	case headErr != nil:
		r.kind(headErr, api.NoSuchBucket)
		r.kind(listErr, api.NoSuchBucket)
	case listErr != nil:
		r.Errorf("the bucket is there and cannot be listed: %v", listErr)
	case len(page.Objects) == 0:
		r.Error("the bucket was kept for keys that are not there")
	}
}
