//! What the SPIFFE standards ask, and which tests of Troth show it.
//!
//! `requirements.txt` has one line for each rule of the standards. A test says which rules it shows:
//!
//! ```text
//! #[covers("ID-04", "X509-13")]
//! #[test]
//! fn the_trust_domain_is_lower_case_and_not_encoded() {
//!     // ...
//! }
//! ```
//!
//! `docs/conformance.md` is made of both, by `cargo run -p conformance`; a test of this package fails when it is out of date.
//!
//! The attribute costs nothing: it checks its ids while the test is compiled and leaves the test as it is.

use proc_macro::{Delimiter, Group, Ident, Literal, Punct, Spacing, Span, TokenStream, TokenTree};

/// The rules; their ids are what the attribute accepts.
const REQUIREMENTS: &str = include_str!("../requirements.txt");

/// Says which rules of the SPIFFE standards a test shows.
///
/// It stands above `#[test]`, and takes ids of `requirements.txt`: `#[covers("ID-04", "X509-13")]`.
///
/// # Errors
/// Compilation fails for an id that is not in the list or is there twice, for no id at all, and on what is no test:
///
/// ```compile_fail
/// # use conformance::covers;
/// #[covers("ID-99")]
/// #[test]
/// fn an_unknown_rule() {}
/// ```
///
/// ```compile_fail
/// # use conformance::covers;
/// #[covers("ID-01", "ID-01")]
/// #[test]
/// fn a_rule_twice() {}
/// ```
///
/// ```compile_fail
/// # use conformance::covers;
/// #[covers()]
/// #[test]
/// fn no_rule() {}
/// ```
///
/// ```compile_fail
/// # use conformance::covers;
/// #[covers("ID-01")]
/// fn no_test() {}
/// ```
#[proc_macro_attribute]
pub fn covers(ids: TokenStream, item: TokenStream) -> TokenStream {
    match check_ids(ids).and_then(|()| check_test(item.clone())) {
        Ok(()) => item,
        Err(mistake) => [mistake.into_compile_error(), item].into_iter().collect(),
    }
}

/// What is wrong, and where.
struct Mistake {
    at: Span,
    what: String,
}

impl Mistake {
    fn new(at: Span, what: impl Into<String>) -> Self {
        Self { at, what: what.into() }
    }

    /// `::core::compile_error! { "what" }`, at the place of the mistake.
    fn into_compile_error(self) -> TokenStream {
        let (at, mut what) = (self.at, Literal::string(&self.what));
        what.set_span(at);
        let punct = |character, spacing| {
            let mut punct = Punct::new(character, spacing);
            punct.set_span(at);
            TokenTree::from(punct)
        };
        let path = |name| [punct(':', Spacing::Joint), punct(':', Spacing::Alone), Ident::new(name, at).into()];
        let mut message = Group::new(Delimiter::Brace, TokenTree::from(what).into());
        message.set_span(at);
        path("core")
            .into_iter()
            .chain(path("compile_error"))
            .chain([punct('!', Spacing::Alone), message.into()])
            .collect()
    }
}

/// Checks that the ids are known ones, each given once, with commas between them.
fn check_ids(ids: TokenStream) -> Result<(), Mistake> {
    let mut seen = Vec::new();
    for (position, token) in ids.into_iter().enumerate() {
        let (text, at) = (token.to_string(), token.span());
        let is_separator = position % 2 == 1;
        match text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
            None if is_separator && text == "," => continue,
            Some(id) if is_separator => return Err(Mistake::new(at, format!("a comma goes before {id}"))),
            None => {
                return Err(Mistake::new(
                    at,
                    "ids of conformance/requirements.txt are given as strings: #[covers(\"ID-04\", \"X509-13\")]",
                ));
            }
            Some(id) if !is_known(id) => return Err(Mistake::new(at, format!("{id} is no id of conformance/requirements.txt"))),
            Some(_) if seen.contains(&text) => return Err(Mistake::new(at, format!("{text} is there twice"))),
            Some(_) => seen.push(text),
        }
    }
    match seen.is_empty() {
        true => Err(Mistake::new(Span::call_site(), "which rules? #[covers(\"ID-04\")]")),
        false => Ok(()),
    }
}

fn is_known(id: &str) -> bool {
    REQUIREMENTS.lines().any(|line| line.split_once(" | ").is_some_and(|(known, _)| known == id))
}

/// Checks that an attribute below is `#[test]`, `#[tokio::test]` or another that ends in `test`.
fn check_test(item: TokenStream) -> Result<(), Mistake> {
    let is_test = item.into_iter().any(|token| match token {
        TokenTree::Group(group) if group.delimiter() == Delimiter::Bracket => names_test(group.stream()),
        _ => false,
    });
    match is_test {
        true => Ok(()),
        false => Err(Mistake::new(Span::call_site(), "`covers` stands on a test, above its `#[test]`")),
    }
}

/// Returns whether the path of an attribute ends in `test`; one that a macro passed on is in a group without delimiters.
fn names_test(attribute: TokenStream) -> bool {
    let mut last = None;
    for token in attribute {
        match token {
            TokenTree::Group(group) if group.delimiter() == Delimiter::None => return names_test(group.stream()),
            TokenTree::Group(_) => break,
            token => last = Some(token.to_string()),
        }
    }
    last.as_deref() == Some("test")
}
