//! Stable error codes, and the problem documents (RFC 9457) that carry them.
//!
//! A code is the same word in an HTTP answer, a log line, a metric label, an audit record and the CLI's JSON.
//! Each row of the table below says once what it means, what to do next, and how the edges render it.

mod causes;

use serde::{Deserialize, Serialize};

pub use causes::with_causes;

/// What a code means to each edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CodeFacts {
    /// The stable word.
    pub word: &'static str,
    /// What happened, as a sentence.
    pub meaning: &'static str,
    /// What to do next: names a step.
    pub hint: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// The exit code of the command line.
    pub exit: u8,
    /// Whether the same request may succeed later.
    pub retry: bool,
}

macro_rules! codes {
    ($( $variant:ident $word:literal $status:literal $exit:literal $retry:literal $meaning:literal $hint:literal; )*) => {
        /// A stable error code.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Code {
            $( #[doc = $meaning] $variant, )*
        }

        impl Code {
            /// Every code, in the order of their words.
            pub const ALL: &'static [Code] = &[ $( Code::$variant, )* ];

            /// Returns what the code means to each edge.
            #[must_use]
            pub const fn facts(self) -> CodeFacts {
                match self {
                    $( Code::$variant => CodeFacts { word: $word, meaning: $meaning, hint: $hint, status: $status, exit: $exit, retry: $retry }, )*
                }
            }
        }
    };
}

// variant, word, HTTP status, exit code, retry, meaning, hint. Sorted by word (a test checks it).
codes! {
    AttestationRefused "attestation_refused" 403 1 false "The node's proof was not accepted." "make a new join link on the server: troth token create";
    AudienceUnacceptable "audience_unacceptable" 400 1 false "The audience of a token is empty, too long, or names something twice." "name whom the token is for, once each: --audience spiffe://TD/service";
    AuthorityInUse "authority_in_use" 409 1 false "The authority signs, and nothing would take its place." "put a successor in its place first: troth authority replace --kind KIND --compromised --because TEXT";
    AuthorityNotFound "authority_not_found" 404 3 false "There is no such authority." "list what there is: troth authority list";
    AuthorityState "authority_state" 409 1 false "The authority is in a state in which that cannot be done." "look at its state: troth authority list";
    BackupInvalid "backup_invalid" 400 1 false "The file is not a backup, or was changed or cut off." "take another backup; the file is of no use";
    BatchTooLarge "batch_too_large" 400 1 false "One request asked for more keys than a batch may hold." "split the request into batches of at most 500 keys";
    BodyTooLarge "body_too_large" 413 1 false "The request body is larger than this call accepts." "send a smaller request; docs/operations.md lists the limits";
    BundleInUse "bundle_in_use" 409 1 false "Entries federate with that trust domain." "take it out of them with --dissociate, or delete the bundle and leave them as they are with --force";
    BundleNotFound "bundle_not_found" 404 3 false "The server holds no bundle of that trust domain." "list what there is: troth bundle list";
    BundleOutdated "bundle_outdated" 409 1 false "The bundle is older than the one that is stored." "get the partner's newest bundle; to go back to this one all the same, delete the stored one first: troth bundle delete --trust-domain TD --force";
    BundleOwn "bundle_own" 400 2 false "The bundle of the own trust domain comes from its authorities and from nobody else." "name the partner's trust domain: --trust-domain TD";
    CacheOfOtherMachine "cache_of_other_machine" 409 1 false "The sealed cache of this data directory was sealed on another machine." "connect this machine to its server: everything then comes from there, and a directory that was moved on purpose needs nothing else; a copied one is to be deleted, and its machine joined by a link of its own";
    CannotReach "cannot_reach" 503 4 true "Nobody answers at that address." "check that the process runs: troth health server, troth health agent";
    CertificateNotFound "certificate_not_found" 404 3 false "This server signed no unexpired certificate with that serial." "compare the serial with what was signed: troth audit export";
    ClaimNotAllowed "claim_not_allowed" 400 1 false "The claim is registered, or is not among those that this server allows." "list its name in the server's configuration (jwt_claims), or write the entry without it; a registered claim is the issuer's alone";
    ClassExceeded "class_exceeded" 400 1 false "The life asked for is longer than the entry's credential class allows." "ask for a shorter life, or name the class that allows it with --class";
    ClockBehind "clock_behind" 409 1 true "The machine's clock is before a time that was seen on it already." "put this machine's clock right: timedatectl; the sealed cache is served from that moment on, and with its server there the agent does not need it";
    ConfigInvalid "config_invalid" 400 2 false "The configuration has mistakes." "correct the keys that are named, then: troth config check FILE";
    ConnectionIdentityExpired "connection_identity_expired" 401 1 true "The certificate that opened this connection has ended." "connect again with the renewed certificate; the agent does so by itself";
    CrlEnded "crl_ended" 409 1 true "A partner's revocation list is past its nextUpdate." "ask the partner to publish newer lists; until then none of that partner are delivered";
    CrlIncomplete "crl_incomplete" 409 1 true "A CA of the partner has no revocation list, and programs refuse good peers over a missing one." "ask the partner to publish the lists of all its CAs at one address, in PEM with the certificates of its issuing CAs";
    CrlOutdated "crl_outdated" 409 1 false "A partner's revocation list is older than the one that is held." "ask the partner for its newest lists; to begin anew, delete the relationship and make it again: troth federation delete TD";
    CrlRefused "crl_refused" 409 1 false "What a partner publishes as its revocation lists is not believed." "look at the reason: troth federation show TD; lists are believed under the partner's own bundle only";
    CrlsNotPublished "crls_not_published" 424 1 true "There is nothing at the address of the partner's revocation lists." "check the address with the partner: troth federation show TD; one that has revoked nothing may have none yet";
    DataDirInUse "data_dir_in_use" 409 1 true "Another process holds this data directory." "stop the other process, or use another --data-dir";
    DataDirNotEmpty "data_dir_not_empty" 409 1 false "The data directory holds something already." "choose an empty --data-dir, or run the server that is there: troth server run";
    DataDirNotInitialised "data_dir_not_initialised" 404 1 false "There is no trust domain in this data directory." "make one: troth server init --trust-domain NAME";
    DiskFull "disk_full" 507 1 true "The disk has too little free space to go on safely." "free space on the file system of the data directory; nothing is lost, and work goes on by itself";
    DnsNotAllowed "dns_not_allowed" 400 1 false "This server gives no certificate for that DNS name." "name one that the server's allow_dns and permit_dns list, or write the entry without it";
    EndpointAddressRefused "endpoint_address_refused" 424 1 false "The endpoint's address is one where no partner lives: loopback, link-local or not to be routed." "check the endpoint's name; for a partner on this machine run the server with --federation-allow-loopback";
    EndpointAnswerUnexpected "endpoint_answer_unexpected" 424 1 true "The endpoint answers, but not with a document: its HTTP status is another." "ask the partner to look at the endpoint; the last good bundle stays in use";
    EndpointDocumentInvalid "endpoint_document_invalid" 424 1 false "What the endpoint answers is not the document that is asked for." "ask the partner to look at the endpoint; the last good bundle stays in use";
    EndpointDocumentTooLarge "endpoint_document_too_large" 424 1 false "The endpoint's document is larger than is read, or has more keys." "ask the partner to look at the endpoint; docs/federation.md lists the limits";
    EndpointRedirectRefused "endpoint_redirect_refused" 424 1 false "The endpoint redirects to where a fetch does not go, too often, or redirects are switched off." "ask the partner for the address that answers, then: troth federation update TD --url URL";
    EndpointTimeout "endpoint_timeout" 424 1 true "The endpoint did not answer in time." "try again in a moment: troth federation refresh TD; the server does so by itself";
    EndpointUnreachable "endpoint_unreachable" 424 1 true "No connection to the endpoint could be made." "check the endpoint's name and port, and the way to it; the server tries again by itself";
    EndpointUntrusted "endpoint_untrusted" 424 1 false "The process at the endpoint's address does not prove that it is the endpoint." "check the profile and the endpoint's SPIFFE ID with the partner; if they are right, someone answers in its place";
    EndpointUrlInvalid "endpoint_url_invalid" 400 2 false "The text is not the URL of an endpoint." "write it as https://HOST[:PORT][/PATH], without user name and fragment";
    EntryExists "entry_exists" 409 1 false "An entry with the same SPIFFE ID, parent and selectors exists with other fields." "change it: troth entry update ID";
    EntryExpired "entry_expired" 403 1 false "The entry has ended." "give it a later end: troth entry update ID --expires-at TIME";
    EntryNotFound "entry_not_found" 404 3 false "There is no such entry." "list what there is: troth entry list";
    EntryNotOfNode "entry_not_of_node" 403 1 false "The entry is not under the node that asks." "list the entries and their nodes: troth entry list";
    FederationExists "federation_exists" 409 1 false "There is a relationship with that trust domain that says something else." "compare both, then change it: troth federation update TD, or accept the link with --replace";
    FederationInvalid "federation_invalid" 400 2 false "What the relationship says does not go together." "correct what is named; docs/federation.md says what each profile needs";
    FederationLinkInvalid "federation_link_invalid" 400 2 false "The federation link is not complete, or cannot say what it should." "copy the whole link that troth federation invite printed; what no link can say is given to troth federation create";
    FederationNoEndpoint "federation_no_endpoint" 409 1 false "This server has no bundle endpoint, so that partners have nothing to fetch." "run the server with --bundle-listen ADDR";
    FederationNotFound "federation_not_found" 404 3 false "There is no relationship with that trust domain." "list what there is: troth federation list";
    FederationOwn "federation_own" 400 2 false "A trust domain does not federate with itself." "name the partner's trust domain, or give the partner's link";
    FederationPinMismatch "federation_pin_mismatch" 403 1 false "None of the roots that the link names is there." "ask the partner for a new link: troth federation invite; if the partner's is the same, someone answers in its place";
    FederationSourceMissing "federation_source_missing" 409 1 false "There is no bundle by which the endpoint could prove its SPIFFE ID." "give the endpoint's bundle with --bootstrap-bundle FILE; an endpoint in another trust domain than the one it serves needs that domain's bundle first";
    FileUnavailable "file_unavailable" 500 1 true "A file or directory cannot be read or written." "check that the path exists, its owner and its mode";
    HookAnswerUnexpected "hook_answer_unexpected" 424 1 true "A service answered the request that should have made it reload with another status than 2xx." "look at what the service says of it, in its answer and in its own log";
    HookCommandFailed "hook_command_failed" 424 1 true "The command that should have made a service reload failed, or did not end in time." "look at what it says, in the agent's log; then run it by hand as the sink's owner";
    HookSignalRefused "hook_signal_refused" 424 1 true "The process that should have got a signal to reload was not found, or is not one that the hook may mean." "check pid_file = or selectors = of the hook, and that the program runs as the sink's owner";
    Internal "internal" 500 1 true "Something failed inside that is not the caller's fault." "look in the process's log under the trace id, then try again";
    InvalidRequest "invalid_request" 400 2 false "The request is not what this call expects." "compare it with the description: troth help, or /openapi.json";
    InvalidSelector "invalid_selector" 400 2 false "A selector is not of the form type:value." "write it as unix:uid:1000; docs/operations.md lists the kinds";
    InvalidSpiffeId "invalid_spiffe_id" 400 2 false "The text is not a SPIFFE ID of this trust domain." "write it as spiffe://TRUST-DOMAIN/path, or /path for short";
    InvalidTrustDomain "invalid_trust_domain" 400 2 false "The text is not a trust domain name." "use lower-case letters, digits, dots, dashes and underscores, at most 255 bytes: prod.example.org";
    IssuerUnavailable "issuer_unavailable" 503 1 true "The server has no authority that may sign now." "look at the server's problems: troth health server";
    JoinLinkInvalid "join_link_invalid" 400 2 false "The join link is not complete." "copy the whole link that troth token create printed, or make a new one";
    JoinLinkRequired "join_link_required" 400 2 false "The agent has no identity yet and was given no join link." "make one on the server with troth token create, then: troth agent run --join LINK";
    JournalUnavailable "journal_unavailable" 503 1 true "The issuance journal cannot be written, so nothing is signed." "look at the server's log and its disk: troth health server";
    JwtSvidInvalid "jwt_svid_invalid" 400 1 false "The token is not a JWT-SVID that may be believed here and now." "look at the reason that is named; then ask the sender for a token made for this audience";
    KeySourceUnavailable "key_source_unavailable" 500 1 false "The key that opens the sealed secrets is not there or does not fit." "put the right key file back, or name it with --key-file; any other source with --key-source";
    KeyUnacceptable "key_unacceptable" 400 1 false "The public key is not an uncompressed P-256 point, is used already, or is the node's or an authority's." "make a new P-256 key";
    KeystorePasswordUnacceptable "keystore_password_unacceptable" 400 1 false "The password of a key store is not one that every reader takes." "use 6 to 512 printable ASCII characters, or leave the password out and one is made";
    KeystoreUnwritable "keystore_unwritable" 500 1 false "A key store cannot be written so that its readers would take it." "check the alias and the certificates that are named; the other formats are not concerned";
    MethodNotAllowed "method_not_allowed" 405 2 false "The path is there, and is asked for by another method." "look at which methods it has: GET /openapi.json";
    NoCounterpart "no_counterpart" 400 1 false "Entries of another issuer have no counterpart here." "take the others and leave these out with --leave-out, name their parents with --map-parent, or change the file; docs/migrate-from-spire.md lists what has none";
    NoEntries "no_entries" 403 1 true "No entry of this node matches this process." "on the node, as its operator: troth explain --pid PID";
    NodeBanned "node_banned" 403 1 false "The node is banned." "lift the ban with troth node evict NAME, then join again with a new link";
    NodeConnected "node_connected" 409 1 true "A node of that identity is connected, with another key." "look at who is connected: troth node list; stop that agent, or give each machine a certificate of its own";
    NodeExpired "node_expired" 401 1 false "The node's SVID has ended." "join again with a new link: troth token create on the server, then troth agent run --join LINK";
    NodeIssuerTainted "node_issuer_tainted" 401 1 true "The node's SVID was signed by an authority that is being replaced, and is good for one renewal only." "look again in a moment: the agent renews its SVID and connects again by itself";
    NodeNotFound "node_not_found" 404 3 false "There is no such node." "list what there is: troth node list";
    NodeNotRestored "node_not_restored" 403 1 false "The server was restored from a backup that does not know this node." "join again with a new link: troth token create on the server, then troth agent run --join LINK; until then the agent serves what it holds";
    NodeParentAmbiguous "node_parent_ambiguous" 400 2 false "The entry names no parent and there is not exactly one node." "name one: --parent NODE";
    NodeRecordOutdated "node_record_outdated" 401 1 true "The server was restored from a backup that is older than the node's SVID, which is good for one renewal only." "look again in a moment: the agent renews its SVID and connects again by itself";
    NodeRequired "node_required" 401 1 false "This call needs the certificate of a node." "connect as an attested agent";
    NodeRevoked "node_revoked" 403 1 false "The node's SVID was revoked." "join again with a new link: troth token create on the server";
    NodeUnknown "node_unknown" 403 1 false "The certificate is of a node that this server does not know, or its key is not the one on record." "join again with a new link: troth token create on the server";
    NotFound "not_found" 404 3 false "There is nothing under that name." "list what there is: troth help";
    NotImplemented "not_implemented" 501 1 false "This version does not do that." "look at what it does: troth help";
    NotReloaded "not_reloaded" 424 1 true "A service was told to reload and presents another certificate than the one that was delivered." "look at the service's own log, and check that it reads its files from the directory of the sink";
    Overloaded "overloaded" 503 1 true "The process has as much work as it takes at once." "try again in a moment; docs/operations.md lists the limits";
    PeerNotAllowed "peer_not_allowed" 403 1 false "The peer is who it says, and is not on the allow-list." "list the peers that are wanted: troth proxy inbound --allow spiffe://TD/PATH";
    Pkcs11PinRefused "pkcs11_pin_refused" 500 1 false "The PKCS#11 token does not take the PIN, or there is none." "correct the file that pin-source names; the same PIN is not tried twice, so that the token is not locked";
    Pkcs11Unavailable "pkcs11_unavailable" 503 1 true "The PKCS#11 token, or a key in it, cannot be used now." "put the token back, and look at it with its own tool: pkcs11-tool --module MODULE --list-objects; work goes on by itself";
    PossessionUnproved "possession_unproved" 403 1 false "The signature does not prove that the caller has the private key, here and now." "make the proof again, with the key that is sent and for this very request";
    RecoveryKeyMissing "recovery_key_missing" 409 1 false "The trust domain was made without a recovery key." "make trust domains with a recovery key, to which backups are sealed: troth server init without --no-recovery";
    RecoveryKeyWrong "recovery_key_wrong" 403 1 false "The recovery key is another one than the backup is sealed to." "use the recovery key that troth server init printed for this trust domain";
    ReplacementRunning "replacement_running" 409 1 true "A replacement of these authorities goes on." "look how far it is, or wait for its end: troth authority list";
    ReservedPath "reserved_path" 400 1 false "Paths under /troth/ belong to the trust domain's own servers and agents." "choose another path";
    RootMismatch "root_mismatch" 403 1 false "The server at that address does not hold the root that the join link names." "check the address, or make a new link: troth token create";
    ServerIdentityInvalid "server_identity_invalid" 403 1 false "The process at that address does not prove that it is the server of this trust domain." "check the address in the link; if it is right, someone answers in the server's place";
    SigningKeyUnavailable "signing_key_unavailable" 503 1 true "The key that would sign is outside of this process and does not answer." "look at the server's problems: troth health server; signing goes on by itself when the key is there again";
    SocketUnsafe "socket_unsafe" 400 1 false "A socket cannot be made there safely." "use a directory that only root or this user can write, or name another place for the socket";
    StoreConflict "store_conflict" 409 1 true "Someone changed the same thing at the same time." "look at it again, then repeat the command";
    StoreFormatUnknown "store_format_unknown" 500 1 false "The data was written by a version that this one does not know." "run the newer version; docs/operations.md says how to go back";
    StoreUnavailable "store_unavailable" 503 1 true "The store cannot be written or read." "look at the server's log and its disk: troth health server";
    SvidInvalid "svid_invalid" 400 1 false "The certificate is not a valid X509-SVID." "look at what is wrong with it: troth svid lint FILE";
    TokenExpired "token_expired" 403 1 false "The join token has ended." "make a new join link: troth token create";
    TokenNotFound "token_not_found" 404 3 false "There is no such join token." "list what there is: troth token list";
    TokenUnknown "token_unknown" 403 1 false "The join token is not known here, or was deleted." "make a new join link: troth token create";
    TokenUsed "token_used" 403 1 false "The join token was used with another key." "make a new join link for each node: troth token create";
    TooManyRequests "too_many_requests" 429 1 true "This caller has as many requests or streams open as it may." "close some, or try again in a moment";
    Unauthorized "unauthorized" 403 1 false "The caller may not do that." "run the command as the user that owns the process, or as root";
    Unconfirmed "unconfirmed" 409 1 false "The person at the terminal did not confirm what would be done." "give --yes, or answer y";
    UnitNotReloadable "unit_not_reloadable" 409 1 false "systemd has no such unit, or nothing to reload it by." "check the unit's name, and that it has a line ExecReload=: systemctl cat UNIT";
    UnitRefused "unit_refused" 403 1 false "The agent may not have units reloaded." "run the agent as root, or give its user a polkit rule: docs/reload-hooks.md has it";
    UnitReloadFailed "unit_reload_failed" 424 1 true "systemd was asked to reload a unit, and that failed or took too long." "look at why: systemctl status UNIT; journalctl -u UNIT";
    UnsupportedMediaType "unsupported_media_type" 415 2 false "The request body is not JSON." "send Content-Type: application/json";
    UpstreamInUse "upstream_in_use" 409 1 false "The server's configuration names the files of that upstream authority." "run the server without --upstream-cert and --upstream-key, then remove it";
    UpstreamNotFound "upstream_not_found" 404 3 false "There is no such cross-certificate." "list what there is: troth authority upstream list";
    UpstreamRefused "upstream_refused" 400 1 false "The upstream authority cannot certify the root of this trust domain, or what it returned is not a cross-certificate of that root." "look at the reason that is named; docs/upstream.md lists what an upstream authority must be";
    Usage "usage" 400 2 false "The command line is not complete or has a mistake." "look at the examples: troth COMMAND --help";
    WaitTimedOut "wait_timed_out" 408 1 true "Not every connected node showed the change in time; the change is kept." "look at the nodes that are named: troth node show NAME";
    WitDisabled "wit_disabled" 403 1 false "This server does not issue WIT-SVIDs." "run the server with --enable wit, or leave it out on the agent";
    WitSvidInvalid "wit_svid_invalid" 400 1 false "The token, or its proof of possession, is not a WIT-SVID that may be believed here and now." "look at the reason that is named; then ask the sender for a token with a proof made for this audience";
    WorkloadUnavailable "workload_unavailable" 503 1 true "The agent has nothing valid to give to this process now." "look at the agent: troth agent status";
}

impl Code {
    /// Returns the stable word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        self.facts().word
    }

    /// Returns the code with this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.word() == word)
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.word())
    }
}

/// An error that knows its stable code.
///
/// Every error enum that reaches a person, an HTTP answer or a log implements it, with a closed match.
pub trait Coded: std::error::Error {
    /// Returns the stable code.
    fn code(&self) -> Code;

    /// Returns the next step for this very error; that of the code unless the error knows better.
    fn hint(&self) -> String {
        self.code().facts().hint.to_owned()
    }
}

/// An RFC 9457 problem document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Problem {
    /// Where the code is described: `https://troth.invalid/errors/CODE`, a name and not an address.
    #[serde(rename = "type")]
    pub kind: String,
    /// What the code means.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened in this case.
    pub detail: String,
    /// The stable word.
    pub code: String,
    /// What to do next.
    pub hint: String,
    /// Whether the same request may succeed later.
    #[serde(default)]
    pub retry: bool,
    /// The request's trace id, in hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
}

impl Problem {
    /// The media type of a problem document.
    pub const MEDIA_TYPE: &'static str = "application/problem+json";

    /// Returns the document for a code, with what happened in this case.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        let facts = code.facts();
        Self {
            kind: format!("https://troth.invalid/errors/{}", facts.word),
            title: facts.meaning.to_owned(),
            status: facts.status,
            detail: detail.into(),
            code: facts.word.to_owned(),
            hint: facts.hint.to_owned(),
            retry: facts.retry,
            trace_id: None,
        }
    }

    /// Returns the document for an error: its text with its causes.
    #[must_use]
    pub fn of(error: &(impl Coded + ?Sized)) -> Self {
        let mut problem = Self::new(error.code(), detail_of(error));
        problem.hint = error.hint();
        problem
    }

    /// Returns the known code of the document, `internal` for one that this version does not know.
    #[must_use]
    pub fn code(&self) -> Code {
        Code::from_word(&self.code).unwrap_or(Code::Internal)
    }
}

/// Says what happened. The causes are added only where the caller can mend them: those of a failure inside stay in the log.
fn detail_of(error: &(impl Coded + ?Sized)) -> String {
    if error.code().facts().status >= 500 {
        return error.to_string();
    }
    whole_detail(error)
}

/// Says what happened with all causes. A cause that is a problem itself ends with its code, which is shown beside the detail: it is said there alone.
#[must_use]
pub fn whole_detail(error: &(impl Coded + ?Sized)) -> String {
    let text = with_causes(error);
    match text.strip_suffix(&format!(" ({})", error.code())) {
        Some(detail) => detail.to_owned(),
        None => text,
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.detail, self.code)
    }
}

impl std::error::Error for Problem {}

impl Coded for Problem {
    fn code(&self) -> Code {
        Problem::code(self)
    }

    fn hint(&self) -> String {
        self.hint.clone()
    }
}

#[cfg(test)]
mod tests;
