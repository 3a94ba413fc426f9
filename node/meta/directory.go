package meta

import (
	"bytes"
	"slices"
	"strings"

	"shoal/node/api"
	"shoal/node/consensus"
)

const (
	bucketNameMax  = 255
	principalMax   = 256
	bucketsPageMax = 10_000
	counterBucket  = "bucket"
	// initialBytesMax bounds the documents that a bucket is created with: the directory holds them for a moment.
	initialBytesMax = 64 << 10
)

// createBucket adds a name to the directory under a new ID.
func (t *tx) createBucket(c *CreateBucket) (*Result, error) {
	if len(c.Name) == 0 || len(c.Name) > bucketNameMax || len(c.Owner) > principalMax || len(c.Location) > nameMax || len(c.Site) > nameMax {
		return invalid("The bucket's name, owner or location is out of range."), nil
	}
	if r := initialConfigs(c.Configs); r != nil {
		return r, nil
	}
	var settings Settings
	ok, err := t.getMessage(t.keep(t.key(spaceSettings)), &settings)
	if err != nil {
		return nil, err
	}
	if !ok {
		return refuse(api.Unavailable, "The cluster has no settings yet."), nil
	}
	if r, err := t.nameFree(c); r != nil || err != nil {
		return r, err
	}
	owned, _, err := t.getUint(t.nameKey(spaceOwned, c.Owner))
	if err != nil {
		return nil, err
	}
	if c.OwnerMax != 0 && owned >= uint64(c.OwnerMax) {
		return refuse(api.TooManyBuckets, ""), nil
	}
	groups, r, err := t.groupsFor(c.Site)
	if r != nil || err != nil {
		return r, err
	}
	id, err := t.take(spaceCounter, counterBucket, 1)
	if err != nil {
		return nil, err
	}
	b := &Bucket{
		Name: c.Name, Id: id, Group: uint32(GroupOf(id, settings.Partitions)), Owner: c.Owner,
		Location: c.Location, Created: t.now(), Locks: c.ObjectLock, Configs: c.Configs,
	}
	if len(groups) == 0 && t.level >= levelNear {
		groups = slices.DeleteFunc(slices.Clone(c.Near), func(g uint32) bool { return g == 0 || g > settings.Partitions })
	}
	if len(groups) > 0 {
		b.Group = groups[id%uint64(len(groups))]
	}
	if err := t.setUint(t.nameKey(spaceOwned, c.Owner), owned+1); err != nil {
		return nil, err
	}
	if err := t.set(t.ownedKey(c.Owner, c.Name), nil); err != nil {
		return nil, err
	}
	if err := t.set(t.uintKey(spaceBucketID, id), []byte(c.Name)); err != nil {
		return nil, err
	}
	return bucketResult(b), t.setMessage(t.nameKey(spaceDirectory, b.Name), b)
}

// initialConfigs refuses documents that the bucket's group would refuse, or that are more than the directory takes.
func initialConfigs(configs []*BucketConfig) *Result {
	size, last := 0, ""
	for _, c := range configs {
		name := c.GetName()
		if !configNameOK(name) || name <= last || name == configVersioning || name == api.ConfigQuota || name == api.ConfigReadOnly || len(c.GetValue()) == 0 {
			return invalid("A bucket cannot be created with this configuration.")
		}
		size, last = size+len(c.GetValue()), name
	}
	if size > initialBytesMax {
		return invalid("The bucket's initial configuration is too large.")
	}
	return nil
}

// Pending says that the bucket's group may not know what the bucket was created with.
func (b *Bucket) Pending() bool { return b.GetLocks() || len(b.GetConfigs()) > 0 }

// finishCreateBucket notes that the bucket's group knows what the bucket was created with.
func (t *tx) finishCreateBucket(c *FinishCreateBucket) (*Result, error) {
	b := new(Bucket)
	ok, err := t.getMessage(t.nameKey(spaceDirectory, c.Name), b)
	if err != nil {
		return nil, err
	}
	if !ok || b.Id != c.Id {
		return refuse(api.NoSuchBucket, ""), nil
	}
	if !b.Pending() {
		return bucketResult(b), nil
	}
	b.Locks, b.Configs = false, nil
	return bucketResult(b), t.setMessage(t.nameKey(spaceDirectory, c.Name), b)
}

// nameFree refuses a name that is taken, and says by whom.
func (t *tx) nameFree(c *CreateBucket) (*Result, error) {
	var old Bucket
	ok, err := t.getMessage(t.nameKey(spaceDirectory, c.Name), &old)
	if err != nil || !ok {
		return nil, err
	}
	r := bucketResult(&old)
	switch {
	case old.State == BucketState_BUCKET_DELETING:
		r.Code = codeOf(api.OperationAborted)
	case old.Owner == c.Owner:
		r.Code = codeOf(api.BucketOwned)
	default:
		r.Code = codeOf(api.BucketExists)
	}
	return r, nil
}

// beginDeleteBucket starts a deletion under a new epoch.
func (t *tx) beginDeleteBucket(c *BeginDeleteBucket) (*Result, error) {
	var b Bucket
	ok, err := t.getMessage(t.nameKey(spaceDirectory, c.Name), &b)
	if err != nil {
		return nil, err
	}
	if !ok {
		return refuse(api.NoSuchBucket, ""), nil
	}
	if b.State == BucketState_BUCKET_DELETING && (c.TakeOverAfter <= 0 || t.now()-b.DeleteBegan < c.TakeOverAfter) {
		return refuse(api.OperationAborted, "The bucket is being deleted."), nil
	}
	b.State = BucketState_BUCKET_DELETING
	b.DeleteEpoch++
	b.DeleteBegan = t.now()
	return bucketResult(&b), t.setMessage(t.nameKey(spaceDirectory, c.Name), &b)
}

// finishDeleteBucket removes a bucket whose partition group has fenced it.
func (t *tx) finishDeleteBucket(c *FinishDeleteBucket) (*Result, error) {
	b, r, err := t.deleting(c.Name, c.Id, c.Epoch)
	if r != nil || err != nil {
		return r, err
	}
	owned, ok, err := t.getUint(t.nameKey(spaceOwned, b.Owner))
	if err != nil {
		return nil, err
	}
	if !ok || owned == 0 {
		return nil, broken("owner %q of bucket %d owns none", b.Owner, b.Id)
	}
	if err := t.setOwned(b.Owner, owned-1); err != nil {
		return nil, err
	}
	if err := t.delete(t.ownedKey(b.Owner, b.Name)); err != nil {
		return nil, err
	}
	if err := t.delete(t.uintKey(spaceBucketID, b.Id)); err != nil {
		return nil, err
	}
	return bucketResult(b), t.delete(t.nameKey(spaceDirectory, b.Name))
}

func (t *tx) setOwned(owner string, n uint64) error {
	if n == 0 {
		return t.delete(t.nameKey(spaceOwned, owner))
	}
	return t.setUint(t.nameKey(spaceOwned, owner), n)
}

// cancelDeleteBucket makes a bucket active again.
func (t *tx) cancelDeleteBucket(c *CancelDeleteBucket) (*Result, error) {
	b, r, err := t.deleting(c.Name, c.Id, c.Epoch)
	if r != nil || err != nil {
		return r, err
	}
	b.State = BucketState_BUCKET_ACTIVE
	return bucketResult(b), t.setMessage(t.nameKey(spaceDirectory, b.Name), b)
}

// deleting finds a bucket in the deletion of an epoch.
func (t *tx) deleting(name string, id, epoch uint64) (*Bucket, *Result, error) {
	b := new(Bucket)
	ok, err := t.getMessage(t.nameKey(spaceDirectory, name), b)
	switch {
	case err != nil:
		return nil, nil, err
	case !ok || b.Id != id:
		return nil, refuse(api.NoSuchBucket, ""), nil
	case b.State != BucketState_BUCKET_DELETING || b.DeleteEpoch != epoch:
		return nil, refuse(api.OperationAborted, "Another deletion of the bucket is newer."), nil
	}
	return b, nil, nil
}

func bucketResult(b *Bucket) *Result { return &Result{Payload: &Result_Bucket{Bucket: b}} }

// ownedKey is the key of a bucket in its owner's index.
func (v *view) ownedKey(owner, name string) []byte {
	return v.keep(append(appendKey(v.key(spaceBucketOf), []byte(owner)), name...))
}

// queryBucket finds a bucket by name or ID.
func (v *view) queryBucket(q *BucketQuery) (*Bucket, *Result, error) {
	name := q.Name
	if name == "" {
		b, ok, err := v.get(v.uintKey(spaceBucketID, q.Id))
		if err != nil {
			return nil, nil, err
		}
		if !ok {
			return nil, refuse(api.NoSuchBucket, ""), nil
		}
		name = string(b)
	}
	b := new(Bucket)
	ok, err := v.getMessage(v.nameKey(spaceDirectory, name), b)
	if err == nil && !ok {
		return nil, refuse(api.NoSuchBucket, ""), nil
	}
	return b, nil, err
}

// queryBuckets lists buckets in ascending order of their names.
func (v *view) queryBuckets(q *BucketsQuery) (*BucketsAnswer, error) {
	a, most := new(BucketsAnswer), pageMax(q.Max, bucketsPageMax)
	from := []byte(q.Prefix)
	if q.After >= q.Prefix && q.After != "" {
		from = append([]byte(q.After), 0)
	}
	base := v.keep(v.key(spaceDirectory))
	if q.Owner != "" {
		base = v.ownedKey(q.Owner, "")
	}
	base = bytes.Clone(base)
	w := &view{r: v.r, g: v.g}
	var partitions uint32
	if q.Bound {
		set, r, err := w.querySettings()
		if r != nil || err != nil {
			return a, err
		}
		partitions = set.Partitions
	}
	err := v.scanFrom(base, from, func(name, val []byte) (bool, error) {
		if !strings.HasPrefix(string(name), q.Prefix) {
			return false, nil
		}
		if len(a.Buckets) == most {
			a.Truncated = true
			return false, nil
		}
		b := new(Bucket)
		var err error
		if q.Owner == "" {
			err = unmarshal(val, b)
		} else {
			var ok bool
			if ok, err = w.getMessage(w.nameKey(spaceDirectory, string(name)), b); err == nil && !ok {
				err = broken("bucket %q of %q is not in the directory", name, q.Owner)
			}
		}
		if !q.Bound || b.Group > partitions {
			a.Buckets = append(a.Buckets, b)
		}
		return true, err
	})
	return a, err
}

// GroupOf is the partition group of a bucket that is bound to no site.
func GroupOf(bucket uint64, partitions uint32) consensus.GroupID {
	return consensus.GroupID(bucket%uint64(partitions)) + 1
}
