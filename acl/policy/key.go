package policy

import (
	"maps"
	"slices"
	"strings"
)

// conditionKey is what is known of a condition key.
type conditionKey struct {
	kind  keyKind
	multi bool // can have several values: wants ForAllValues or ForAnyValue
}

// keyKind says which operators make sense.
type keyKind uint8

const (
	keyString keyKind = iota
	keyNumber
	keyDate
	keyBool
	keyAddress
	keyARN
)

// keys are the condition keys that a gateway sets (Service Authorization Reference, "Condition keys
// for Amazon S3"; IAM User Guide, "AWS global condition context keys"), by their names in lower case.
// One that ends with / is followed by a tag's key.
var keys = map[string]conditionKey{
	"aws:currenttime":                                {kind: keyDate},
	"aws:epochtime":                                  {kind: keyDate},
	"aws:multifactorauthpresent":                     {kind: keyBool},
	"aws:principalaccount":                           {},
	"aws:principalarn":                               {kind: keyARN},
	"aws:principaltype":                              {},
	"aws:referer":                                    {},
	"aws:requestedregion":                            {},
	"aws:securetransport":                            {kind: keyBool},
	"aws:sourceip":                                   {kind: keyAddress},
	"aws:tagkeys":                                    {multi: true},
	"aws:requesttag/":                                {},
	"aws:resourcetag/":                               {},
	"aws:tokenissuetime":                             {kind: keyDate},
	"aws:useragent":                                  {},
	"aws:userid":                                     {},
	"aws:username":                                   {},
	"s3:authtype":                                    {},
	"s3:buckettag/":                                  {},
	"s3:delimiter":                                   {},
	"s3:existingobjecttag/":                          {},
	"s3:if-match":                                    {},
	"s3:if-none-match":                               {},
	"s3:locationconstraint":                          {},
	"s3:max-keys":                                    {kind: keyNumber},
	"s3:object-lock-legal-hold":                      {},
	"s3:object-lock-mode":                            {},
	"s3:object-lock-remaining-retention-days":        {kind: keyNumber},
	"s3:object-lock-retain-until-date":               {kind: keyDate},
	"s3:objectcreationoperation":                     {kind: keyBool},
	"s3:prefix":                                      {},
	"s3:requestobjecttag/":                           {},
	"s3:requestobjecttagkeys":                        {multi: true},
	"s3:resourceaccount":                             {},
	"aws:resourceaccount":                            {},
	"s3:signatureage":                                {kind: keyNumber},
	"s3:signatureversion":                            {},
	"s3:tlsversion":                                  {kind: keyNumber},
	"s3:versionid":                                   {},
	"s3:x-amz-acl":                                   {},
	"s3:x-amz-content-sha256":                        {},
	"s3:x-amz-copy-source":                           {},
	"s3:x-amz-grant-full-control":                    {},
	"s3:x-amz-grant-read":                            {},
	"s3:x-amz-grant-read-acp":                        {},
	"s3:x-amz-grant-write":                           {},
	"s3:x-amz-grant-write-acp":                       {},
	"s3:x-amz-metadata-directive":                    {},
	"s3:x-amz-object-ownership":                      {},
	"s3:x-amz-server-side-encryption":                {},
	"s3:x-amz-server-side-encryption-aws-kms-key-id": {kind: keyARN},
	"s3:x-amz-server-side-encryption-customer-algorithm": {},
	"s3:x-amz-storage-class":                             {},
	"s3:x-amz-website-redirect-location":                 {},
}

// lookupKey gives what is known of a key by its name in lower case, nil when there is no such key.
func lookupKey(name string) *conditionKey {
	if before, tag, ok := strings.Cut(name, "/"); ok {
		if tag == "" {
			return nil
		}
		name = before + "/"
	} else if strings.HasSuffix(name, "/") {
		return nil
	}
	k, ok := keys[name]
	if !ok {
		return nil
	}
	return &k
}

// KeyNames lists the condition keys that policies may name, in lower case; one that ends with /
// is followed by a tag's key.
func KeyNames() []string { return slices.Sorted(maps.Keys(keys)) }
