//! JWT-SVIDs: what one says, and how it is written (JWT-SVID sections 2 to 5; RFC 7515, RFC 7519).

mod audience;
mod claims;
mod es256;
mod extra;
mod issuer_url;
mod mint;
mod token_id;

pub use audience::{Audience, AudienceRefused};
pub use claims::Claims;
pub use es256::{Es256Signature, NotEcdsaDer};
pub use extra::{ClaimNames, ClaimRefused, ExtraClaims};
pub use issuer_url::{IssuerUrl, ParseIssuerUrlError};
pub use mint::SigningInput;
pub use token_id::{ParseTokenIdError, TokenId};
