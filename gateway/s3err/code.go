package s3err

import "net/http"

// Code is an S3 error code, as clients compare it.
type Code string

// The codes that this gateway can answer.
const (
	AccessControlListNotSupported                  Code = "AccessControlListNotSupported"
	AccessDenied                                   Code = "AccessDenied"
	AccessForbidden                                Code = "AccessForbidden"
	AuthorizationHeaderMalformed                   Code = "AuthorizationHeaderMalformed"
	AuthorizationQueryParametersError              Code = "AuthorizationQueryParametersError"
	BadDigest                                      Code = "BadDigest"
	BadRequest                                     Code = "BadRequest"
	BucketAlreadyExists                            Code = "BucketAlreadyExists"
	BucketAlreadyOwnedByYou                        Code = "BucketAlreadyOwnedByYou"
	BucketNotEmpty                                 Code = "BucketNotEmpty"
	ConditionalRequestConflict                     Code = "ConditionalRequestConflict"
	DeleteConflict                                 Code = "DeleteConflict"
	EntityAlreadyExists                            Code = "EntityAlreadyExists"
	EntityTooLarge                                 Code = "EntityTooLarge"
	EntityTooSmall                                 Code = "EntityTooSmall"
	ExpiredToken                                   Code = "ExpiredToken"
	IllegalLocationConstraintException             Code = "IllegalLocationConstraintException"
	IllegalVersioningConfigurationException        Code = "IllegalVersioningConfigurationException"
	IncompleteBody                                 Code = "IncompleteBody"
	InsufficientStorage                            Code = "InsufficientStorage"
	InternalError                                  Code = "InternalError"
	InvalidAccessKeyId                             Code = "InvalidAccessKeyId"
	InvalidArgument                                Code = "InvalidArgument"
	InvalidBucketAclWithBlockPublicAccessError     Code = "InvalidBucketAclWithBlockPublicAccessError"
	InvalidBucketAclWithObjectOwnership            Code = "InvalidBucketAclWithObjectOwnership"
	InvalidBucketName                              Code = "InvalidBucketName"
	InvalidBucketState                             Code = "InvalidBucketState"
	InvalidDigest                                  Code = "InvalidDigest"
	InvalidEncryptionAlgorithmError                Code = "InvalidEncryptionAlgorithmError"
	InvalidLocationConstraint                      Code = "InvalidLocationConstraint"
	InvalidObjectState                             Code = "InvalidObjectState"
	InvalidPart                                    Code = "InvalidPart"
	InvalidPartNumber                              Code = "InvalidPartNumber"
	InvalidPartOrder                               Code = "InvalidPartOrder"
	InvalidPolicyDocument                          Code = "InvalidPolicyDocument"
	InvalidRange                                   Code = "InvalidRange"
	InvalidBucketOwnerAWSAccountID                 Code = "InvalidBucketOwnerAWSAccountID"
	InvalidRequest                                 Code = "InvalidRequest"
	InvalidRetentionPeriod                         Code = "InvalidRetentionPeriod"
	InvalidStorageClass                            Code = "InvalidStorageClass"
	InvalidTag                                     Code = "InvalidTag"
	InvalidToken                                   Code = "InvalidToken"
	InvalidURI                                     Code = "InvalidURI"
	KeyTooLongError                                Code = "KeyTooLongError"
	MalformedACLError                              Code = "MalformedACLError"
	MalformedPolicy                                Code = "MalformedPolicy"
	MalformedPOSTRequest                           Code = "MalformedPOSTRequest"
	MalformedTrailerError                          Code = "MalformedTrailerError"
	MalformedXML                                   Code = "MalformedXML"
	MaxMessageLengthExceeded                       Code = "MaxMessageLengthExceeded"
	MaxPostPreDataLengthExceededError              Code = "MaxPostPreDataLengthExceededError"
	MetadataTooLarge                               Code = "MetadataTooLarge"
	MethodNotAllowed                               Code = "MethodNotAllowed"
	MissingAuthenticationToken                     Code = "MissingAuthenticationToken"
	MissingContentLength                           Code = "MissingContentLength"
	MissingRequestBodyError                        Code = "MissingRequestBodyError"
	MissingSecurityHeader                          Code = "MissingSecurityHeader"
	NoSuchBucket                                   Code = "NoSuchBucket"
	NoSuchBucketPolicy                             Code = "NoSuchBucketPolicy"
	NoSuchConfiguration                            Code = "NoSuchConfiguration"
	NoSuchCORSConfiguration                        Code = "NoSuchCORSConfiguration"
	NoSuchEntity                                   Code = "NoSuchEntity"
	NoSuchKey                                      Code = "NoSuchKey"
	NoSuchLifecycleConfiguration                   Code = "NoSuchLifecycleConfiguration"
	NoSuchObjectLockConfiguration                  Code = "NoSuchObjectLockConfiguration"
	NoSuchPublicAccessBlockConfiguration           Code = "NoSuchPublicAccessBlockConfiguration"
	NoSuchTagSet                                   Code = "NoSuchTagSet"
	NoSuchUpload                                   Code = "NoSuchUpload"
	NoSuchVersion                                  Code = "NoSuchVersion"
	NoSuchWebsiteConfiguration                     Code = "NoSuchWebsiteConfiguration"
	NotImplemented                                 Code = "NotImplemented"
	NotModified                                    Code = "NotModified"
	ObjectLockConfigurationNotFoundError           Code = "ObjectLockConfigurationNotFoundError"
	OperationAborted                               Code = "OperationAborted"
	OwnershipControlsNotFoundError                 Code = "OwnershipControlsNotFoundError"
	PermanentRedirect                              Code = "PermanentRedirect"
	PreconditionFailed                             Code = "PreconditionFailed"
	QuotaExceeded                                  Code = "QuotaExceeded"
	ReadOnly                                       Code = "ReadOnly"
	Redirect                                       Code = "Redirect"
	ReplicationConfigurationNotFoundError          Code = "ReplicationConfigurationNotFoundError"
	RequestHeaderSectionTooLarge                   Code = "RequestHeaderSectionTooLarge"
	RequestIsNotMultiPartContent                   Code = "RequestIsNotMultiPartContent"
	RequestTimeTooSkewed                           Code = "RequestTimeTooSkewed"
	RequestTimeout                                 Code = "RequestTimeout"
	ServerSideEncryptionConfigurationNotFoundError Code = "ServerSideEncryptionConfigurationNotFoundError"
	ServiceUnavailable                             Code = "ServiceUnavailable"
	SignatureDoesNotMatch                          Code = "SignatureDoesNotMatch"
	SlowDown                                       Code = "SlowDown"
	TemporaryRedirect                              Code = "TemporaryRedirect"
	TokenRefreshRequired                           Code = "TokenRefreshRequired"
	TooManyBuckets                                 Code = "TooManyBuckets"
	UnexpectedContent                              Code = "UnexpectedContent"
	UnresolvableGrantByEmailAddress                Code = "UnresolvableGrantByEmailAddress"
	UnsupportedSignature                           Code = "UnsupportedSignature"
	UserKeyMustBeSpecified                         Code = "UserKeyMustBeSpecified"
	XAmzContentChecksumMismatch                    Code = "XAmzContentChecksumMismatch"
	XAmzContentSHA256Mismatch                      Code = "XAmzContentSHA256Mismatch"
)

// row is what a code means unless an error says more.
type row struct {
	status  int
	message string
}

var rows = map[Code]row{
	AccessControlListNotSupported:              {http.StatusBadRequest, "The bucket does not allow ACLs"},
	AccessDenied:                               {http.StatusForbidden, "Access Denied"},
	AccessForbidden:                            {http.StatusForbidden, "Access Forbidden"},
	AuthorizationHeaderMalformed:               {http.StatusBadRequest, "The authorization header that you provided is not valid."},
	AuthorizationQueryParametersError:          {http.StatusBadRequest, "The authorization query parameters that you provided are not valid."},
	BadDigest:                                  {http.StatusBadRequest, "The Content-MD5 or checksum value that you specified did not match what the server received."},
	BadRequest:                                 {http.StatusBadRequest, "An error occurred when parsing the HTTP request."},
	BucketAlreadyExists:                        {http.StatusConflict, "The requested bucket name is not available. The bucket namespace is shared by all users of the system. Please select a different name and try again."},
	BucketAlreadyOwnedByYou:                    {http.StatusConflict, "Your previous request to create the named bucket succeeded and you already own it."},
	BucketNotEmpty:                             {http.StatusConflict, "The bucket you tried to delete is not empty."},
	ConditionalRequestConflict:                 {http.StatusConflict, "The conditional request cannot succeed due to a conflicting operation against this resource."},
	DeleteConflict:                             {http.StatusConflict, "It is in use and cannot be deleted."},
	EntityAlreadyExists:                        {http.StatusConflict, "A user, group or policy of this name exists."},
	EntityTooLarge:                             {http.StatusBadRequest, "Your proposed upload exceeds the maximum allowed object size."},
	EntityTooSmall:                             {http.StatusBadRequest, "Your proposed upload is smaller than the minimum allowed object size."},
	ExpiredToken:                               {http.StatusBadRequest, "The provided token has expired."},
	IllegalLocationConstraintException:         {http.StatusBadRequest, "The specified location constraint is not valid for the endpoint that this request was sent to."},
	IllegalVersioningConfigurationException:    {http.StatusBadRequest, "The versioning configuration specified in the request is invalid."},
	IncompleteBody:                             {http.StatusBadRequest, "You did not provide the number of bytes specified by the Content-Length HTTP header."},
	InsufficientStorage:                        {http.StatusInsufficientStorage, "There is not enough free space to store the object."},
	InternalError:                              {http.StatusInternalServerError, "We encountered an internal error. Please try again."},
	InvalidAccessKeyId:                         {http.StatusForbidden, "The AWS Access Key Id you provided does not exist in our records."},
	InvalidArgument:                            {http.StatusBadRequest, "Invalid Argument"},
	InvalidBucketAclWithBlockPublicAccessError: {http.StatusBadRequest, "Bucket cannot have public ACLs set with BlockPublicAccess enabled"},
	InvalidBucketAclWithObjectOwnership:        {http.StatusBadRequest, "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting"},
	InvalidBucketName:                          {http.StatusBadRequest, "The specified bucket is not valid."},
	InvalidBucketState:                         {http.StatusConflict, "The request is not valid for the current state of the bucket."},
	InvalidDigest:                              {http.StatusBadRequest, "The Content-MD5 or checksum value that you specified is not valid."},
	InvalidEncryptionAlgorithmError:            {http.StatusBadRequest, "The encryption request that you specified is not valid. The valid value is AES256."},
	InvalidLocationConstraint:                  {http.StatusBadRequest, "The specified location constraint is not valid."},
	InvalidObjectState:                         {http.StatusForbidden, "The operation is not valid for the current state of the object."},
	InvalidPart:                                {http.StatusBadRequest, "One or more of the specified parts could not be found. The part may not have been uploaded, or the specified entity tag may not match the part's entity tag."},
	InvalidPartNumber:                          {http.StatusRequestedRangeNotSatisfiable, "The requested partnumber is not satisfiable"},
	InvalidPartOrder:                           {http.StatusBadRequest, "The list of parts was not in ascending order. Parts must be ordered by part number."},
	InvalidPolicyDocument:                      {http.StatusBadRequest, "The content of the form does not meet the conditions specified in the policy document."},
	InvalidRange:                               {http.StatusRequestedRangeNotSatisfiable, "The requested range is not satisfiable"},
	InvalidBucketOwnerAWSAccountID:             {http.StatusBadRequest, "The value of the expected bucket owner parameter must be an AWS account ID: 12 digits. Buckets of this store are in the account 000000000000."},
	InvalidRequest:                             {http.StatusBadRequest, "Invalid Request"},
	InvalidRetentionPeriod:                     {http.StatusBadRequest, "The retention period specified is invalid."},
	InvalidStorageClass:                        {http.StatusBadRequest, "The storage class you specified is not valid"},
	InvalidTag:                                 {http.StatusBadRequest, "The tag provided was not a valid tag. This error can occur if the tag did not pass input validation."},
	InvalidToken:                               {http.StatusBadRequest, "The provided token is malformed or otherwise not valid."},
	InvalidURI:                                 {http.StatusBadRequest, "Couldn't parse the specified URI."},
	KeyTooLongError:                            {http.StatusBadRequest, "Your key is too long"},
	MalformedACLError:                          {http.StatusBadRequest, "The XML you provided was not well-formed or did not validate against our published schema"},
	MalformedPolicy:                            {http.StatusBadRequest, "Policies must be valid JSON and the first byte must be '{'"},
	MalformedPOSTRequest:                       {http.StatusBadRequest, "The body of your POST request is not well-formed multipart/form-data."},
	MalformedTrailerError:                      {http.StatusBadRequest, "The request contained trailing data that was not well-formed or did not conform to our published schema."},
	MalformedXML:                               {http.StatusBadRequest, "The XML you provided was not well-formed or did not validate against our published schema"},
	MaxMessageLengthExceeded:                   {http.StatusBadRequest, "Your request was too big."},
	MaxPostPreDataLengthExceededError:          {http.StatusBadRequest, "Your POST request fields preceding the upload file were too large."},
	MetadataTooLarge:                           {http.StatusBadRequest, "Your metadata headers exceed the maximum allowed metadata size"},
	MethodNotAllowed:                           {http.StatusMethodNotAllowed, "The specified method is not allowed against this resource."},
	MissingAuthenticationToken:                 {http.StatusForbidden, "The request was not signed."},
	MissingContentLength:                       {http.StatusLengthRequired, "You must provide the Content-Length HTTP header."},
	MissingRequestBodyError:                    {http.StatusBadRequest, "Request body is empty."},
	MissingSecurityHeader:                      {http.StatusBadRequest, "Your request is missing a required header."},
	NoSuchBucket:                               {http.StatusNotFound, "The specified bucket does not exist"},
	NoSuchBucketPolicy:                         {http.StatusNotFound, "The bucket policy does not exist"},
	NoSuchConfiguration:                        {http.StatusNotFound, "The specified configuration does not exist."},
	NoSuchCORSConfiguration:                    {http.StatusNotFound, "The CORS configuration does not exist"},
	NoSuchEntity:                               {http.StatusNotFound, "There is no user, group or policy of this name."},
	NoSuchKey:                                  {http.StatusNotFound, "The specified key does not exist."},
	NoSuchLifecycleConfiguration:               {http.StatusNotFound, "The lifecycle configuration does not exist"},
	NoSuchObjectLockConfiguration:              {http.StatusNotFound, "The specified object does not have an ObjectLock configuration."},
	NoSuchPublicAccessBlockConfiguration:       {http.StatusNotFound, "The public access block configuration was not found"},
	NoSuchTagSet:                               {http.StatusNotFound, "The TagSet does not exist"},
	NoSuchUpload:                               {http.StatusNotFound, "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed."},
	NoSuchVersion:                              {http.StatusNotFound, "The specified version does not exist."},
	NoSuchWebsiteConfiguration:                 {http.StatusNotFound, "The specified bucket does not have a website configuration"},
	NotImplemented:                             {http.StatusNotImplemented, "A header or operation that you asked for implies functionality that is not implemented."},
	NotModified:                                {http.StatusNotModified, "Not Modified"},
	ObjectLockConfigurationNotFoundError:       {http.StatusNotFound, "Object Lock configuration does not exist for this bucket"},
	OperationAborted:                           {http.StatusConflict, "A conflicting conditional operation is currently in progress against this resource. Please try again."},
	OwnershipControlsNotFoundError:             {http.StatusNotFound, "The bucket ownership controls were not found"},
	PermanentRedirect:                          {http.StatusMovedPermanently, "The bucket you are attempting to access must be addressed using the specified endpoint. Please send all future requests to this endpoint."},
	PreconditionFailed:                         {http.StatusPreconditionFailed, "At least one of the pre-conditions you specified did not hold"},
	QuotaExceeded:                              {http.StatusForbidden, "The quota of the bucket would be exceeded. Delete objects or versions, or ask the operator to raise it."},
	ReadOnly:                                   {http.StatusServiceUnavailable, "An operator has made the store, or the bucket, read-only. Writes are taken again when that ends."},
	Redirect:                                   {http.StatusTemporaryRedirect, "Temporary redirect."},
	ReplicationConfigurationNotFoundError:      {http.StatusNotFound, "The replication configuration was not found"},
	RequestHeaderSectionTooLarge:               {http.StatusRequestHeaderFieldsTooLarge, "Your request header section exceeds the maximum allowed size."},
	RequestIsNotMultiPartContent:               {http.StatusBadRequest, "Bucket POST must be of the enclosure-type multipart/form-data."},
	RequestTimeTooSkewed:                       {http.StatusForbidden, "The difference between the request time and the current time is too large."},
	RequestTimeout:                             {http.StatusBadRequest, "Your socket connection to the server was not read from or written to within the timeout period."},
	ServerSideEncryptionConfigurationNotFoundError: {http.StatusNotFound, "The server side encryption configuration was not found"},
	ServiceUnavailable:              {http.StatusServiceUnavailable, "Service is unable to handle request."},
	SignatureDoesNotMatch:           {http.StatusForbidden, "The request signature we calculated does not match the signature you provided. Check your key and signing method."},
	SlowDown:                        {http.StatusServiceUnavailable, "Please reduce your request rate."},
	TemporaryRedirect:               {http.StatusTemporaryRedirect, "You are being redirected to the bucket while DNS updates."},
	TokenRefreshRequired:            {http.StatusBadRequest, "The provided token must be refreshed."},
	TooManyBuckets:                  {http.StatusBadRequest, "You have attempted to create more buckets than allowed"},
	UnexpectedContent:               {http.StatusBadRequest, "This request does not support content."},
	UnresolvableGrantByEmailAddress: {http.StatusBadRequest, "The e-mail address you provided does not match any account on record."},
	UnsupportedSignature:            {http.StatusBadRequest, "The provided request is signed with an unsupported STS Token version or the signature version is not supported."},
	UserKeyMustBeSpecified:          {http.StatusBadRequest, "The bucket POST must contain the specified field name. If it is specified, check the order of the fields."},
	XAmzContentChecksumMismatch:     {http.StatusBadRequest, "The provided 'x-amz-checksum' header does not match what was computed."},
	XAmzContentSHA256Mismatch:       {http.StatusBadRequest, "The provided 'x-amz-content-sha256' header does not match what was computed."},
}

// Codes lists every code, in no order.
func Codes() []Code {
	all := make([]Code, 0, len(rows))
	for code := range rows {
		all = append(all, code)
	}
	return all
}
