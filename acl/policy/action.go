package policy

import (
	"strings"
)

// Target says what kind of resource an action acts on.
type Target uint8

// Targets.
const (
	// OnService: the store as a whole; in a policy its resource is "*" or any.
	OnService Target = iota
	// OnBucket: arn:aws:s3:::bucket.
	OnBucket
	// OnObject: arn:aws:s3:::bucket/key.
	OnObject
)

// actions of S3 (Service Authorization Reference, "Actions defined by Amazon S3"), by target.
var s3Actions = map[Target]string{
	OnService: `ListAllMyBuckets GetAccountPublicAccessBlock PutAccountPublicAccessBlock`,
	OnBucket: `CreateBucket DeleteBucket DeleteBucketPolicy DeleteBucketWebsite GetAccelerateConfiguration GetAnalyticsConfiguration
		GetBucketAcl GetBucketCORS GetBucketLocation GetBucketLogging GetBucketMetadataTableConfiguration GetBucketNotification
		GetBucketObjectLockConfiguration GetBucketOwnershipControls GetBucketPolicy GetBucketPolicyStatus GetBucketPublicAccessBlock
		GetBucketRequestPayment GetBucketTagging GetBucketVersioning GetBucketWebsite GetEncryptionConfiguration
		GetIntelligentTieringConfiguration GetInventoryConfiguration GetLifecycleConfiguration GetMetricsConfiguration
		GetReplicationConfiguration ListBucket ListBucketMultipartUploads ListBucketVersions PutAccelerateConfiguration
		PutAnalyticsConfiguration PutBucketAcl PutBucketCORS PutBucketLogging PutBucketNotification PutBucketObjectLockConfiguration
		PutBucketOwnershipControls PutBucketPolicy PutBucketPublicAccessBlock PutBucketRequestPayment PutBucketTagging
		PutBucketVersioning PutBucketWebsite PutEncryptionConfiguration PutIntelligentTieringConfiguration PutInventoryConfiguration
		PutLifecycleConfiguration PutMetricsConfiguration PutReplicationConfiguration`,
	OnObject: `AbortMultipartUpload BypassGovernanceRetention DeleteObject DeleteObjectTagging DeleteObjectVersion
		DeleteObjectVersionTagging GetObject GetObjectAcl GetObjectAttributes GetObjectLegalHold GetObjectRetention GetObjectTagging
		GetObjectTorrent GetObjectVersion GetObjectVersionAcl GetObjectVersionAttributes GetObjectVersionTagging
		GetObjectVersionTorrent ListMultipartUploadParts ObjectOwnerOverrideToBucketOwner PutObject PutObjectAcl PutObjectLegalHold
		PutObjectRetention PutObjectTagging PutObjectVersionAcl PutObjectVersionTagging ReplicateDelete ReplicateObject
		ReplicateTags RestoreObject`,
}

// Actions of operators, and those to ask for a session. Each route and page of the management port takes
// some of the former; there is none without.
const (
	adminActions = `AddUserToGroup AllowMember AttachGroupPolicy AttachUserPolicy Backup CollectGarbage CreateAccessKey CreateGroup CreateOwnAccessKey
		CreatePolicy CreateUser DeleteGroup DeletePolicy DeleteUser DetachGroupPolicy DetachUserPolicy DisableRoot DisableUser Drain EnableRoot EnableUser
		GetCheckpoints GetCollection GetDurability GetHealth GetMetrics GetPlacement GetProfile GetReadOnly GetRelease GetSpace InviteMember ListAccessKeys ListGroups ListMembers ListMetadataGroups
		ListAuditTargets
		ListPolicies ListSettings ListUsers ListWorkers RemoveDrive RemoveUserFromGroup ReplaceRoot RevokeAccessKey RevokeAllAccessKeys RevokeMember
		RevokeOwnAccessKey RotateAccessKey RotateOwnAccessKey Scrub SetMember SetPolicy SetReadOnly SetSetting SimulatePolicy UpdateAccessKey
		UpdateOwnAccessKey`
	adminBucketActions = `GetBucketReadOnly GetPermissions GetQuota SetBucketReadOnly SetPermissions SetQuota`
	stsActions         = `AssumeRole AssumeRoleWithCertificate GetCallerIdentity GetSessionToken`
)

// known is one action.
type known struct {
	name   string // in AWS's spelling
	lower  string // the same in lower case
	target Target
}

// catalogue numbers the actions.
var catalogue, numbers = makeCatalogue()

func makeCatalogue() ([]known, map[string]int) {
	var all []known
	add := func(service, names string, target Target) {
		for name := range strings.FieldsSeq(names) {
			all = append(all, known{service + ":" + name, strings.ToLower(service + ":" + name), target})
		}
	}
	for _, target := range []Target{OnService, OnBucket, OnObject} {
		add("s3", s3Actions[target], target)
	}
	add("admin", adminActions, OnService)
	add("admin", adminBucketActions, OnBucket)
	add("sts", stsActions, OnService)
	numbers := make(map[string]int, len(all))
	for i, a := range all {
		numbers[a.name] = i
	}
	return all, numbers
}

// TargetOf gives what a known action acts on.
func TargetOf(action string) (Target, bool) {
	i, ok := numbers[action]
	if !ok {
		return 0, false
	}
	return catalogue[i].target, true
}

// Actions lists the names of all actions that policies may name.
func Actions() []string {
	names := make([]string, len(catalogue))
	for i, a := range catalogue {
		names[i] = a.name
	}
	return names
}

// actionSet is a set of actions by their numbers.
type actionSet [3]uint64

func (s *actionSet) add(i int)      { s[i/64] |= 1 << (i % 64) }
func (s *actionSet) has(i int) bool { return s[i/64]&(1<<(i%64)) != 0 }

// join adds what another set has.
func (s *actionSet) join(o *actionSet) {
	for i := range s {
		s[i] |= o[i]
	}
}

// invert is all actions that are not in the set.
func (s *actionSet) invert() {
	for i := range catalogue {
		s[i/64] ^= 1 << (i % 64)
	}
}

// readActions turns names with wildcards into the set that they stand for. A name that stands for
// nothing is a mistake of its author.
func readActions(names []string) (actionSet, error) {
	var set actionSet
	for _, name := range names {
		p, err := compile(name, syntax{wildcards: true})
		if err != nil {
			return set, err
		}
		p.fold()
		before := set
		found := false
		for i, a := range catalogue {
			if p.matchAsIs(a.lower, nil) {
				set.add(i)
				found = true
			}
		}
		if !found {
			return before, refuse("There is no action %q.", name)
		}
	}
	return set, nil
}
