package s3

// family is the cases of one kind of operation.
type family struct {
	name string // lower case, words parted by spaces; part of the names of buckets
	doc  string // the page that says what must come back, unless a case cites another
	// bare makes no bucket: {b} is only the name of one.
	bare bool
	// before prepares the bucket of every case.
	before []exchange
	cases  []exchange
}

// families are all cases, in the order of their names.
func families() []family {
	return []family{
		aclFamily(),
		bucketFamily(),
		bucketNameFamily(),
		bucketTaggingFamily(),
		conditionFamily(),
		copyConditionFamily(),
		copyFamily(),
		corsAnswerFamily(),
		corsFamily(),
		customerKeyFamily(),
		deleteFamily(),
		deleteManyFamily(),
		encryptionFamily(),
		errorFamily(),
		grantFamily(),
		grantHeaderFamily(),
		grantedFamily(),
		expirationFamily(),
		getFamily(),
		legalHoldFamily(),
		lifecycleFamily(),
		listFamily(),
		listUploadsFamily(),
		listV1Family(),
		listVersionsFamily(),
		lockConfigFamily(),
		lockHeaderFamily(),
		lockKeptFamily(),
		metadataFamily(),
		multipartCompleteFamily(),
		multipartFamily(),
		publicAccessFamily(),
		ownershipFamily(),
		policyFamily(),
		postFamily(),
		putFamily(),
		rangeFamily(),
		renameFamily(),
		requestPaymentFamily(),
		retentionFamily(),
		signatureFamily(),
		classFamily(),
		taggingFamily(),
		taggingHeaderFamily(),
		uploadChecksumFamily(),
		unconfiguredFamily(),
		versionDeleteFamily(),
		versionReadFamily(),
		versionWriteFamily(),
		versioningFamily(),
		writeConditionFamily(),
	}
}
