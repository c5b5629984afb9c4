//! The move itself: a document and what the operator says, and drafts of entries come out.

use std::collections::{HashMap, HashSet};

use super::document::{SpireEntries, SpireEntry, SpireSelector};
use super::lives::Lives;
use super::parents::{Parent, Parents};
use super::refused::{LeftOut, MoveRefused, NoCounterpart};
use super::remark::{Note, Remark, Remarks};
use super::selectors;
use crate::entry::SubjectCn;
use crate::node::NodeAttestor;
use crate::spiffe_id::SpiffeId;
use crate::trust_domain::TrustDomain;
use crate::wire::admin::EntryDraft;

/// What the operator says about a move.
#[derive(Debug, Clone)]
pub struct Move {
    /// The trust domain of the server that takes the entries.
    pub own: TrustDomain,
    /// Another trust domain that the entries are of: they get the same paths here.
    pub from: Option<TrustDomain>,
    /// What stands in place of parents: a parent's SPIFFE ID or path, and a node's name, or the SPIFFE ID of a node or node alias.
    pub parents: Vec<(String, String)>,
}

/// What came of a document. Nothing of it is missing: an entry has its draft, or is named as left out, or only said which node a parent is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// The entries, in the order of the document.
    pub drafts: Vec<EntryDraft>,
    /// What is not as it was.
    pub notes: Vec<Note>,
    /// Entries that have no counterpart.
    pub left_out: Vec<LeftOut>,
}

impl Moved {
    /// Returns the drafts and notes if every entry of the document is taken.
    ///
    /// # Errors
    /// Names those that have no counterpart.
    pub fn whole(self, of: &SpireEntries) -> Result<Self, MoveRefused> {
        if self.left_out.is_empty() {
            return Ok(self);
        }
        Err(MoveRefused::NoCounterpart {
            left_out: self.left_out,
            total: of.len(),
        })
    }
}

impl SpireEntries {
    /// Returns the entries as drafts of ours. Pure: the same document and the same words give the same drafts.
    ///
    /// # Errors
    /// The document is of another trust domain than was said, or a parent that was named is no entry's.
    pub fn translate(&self, asked: &Move) -> Result<Moved, MoveRefused> {
        self.check_trust_domain(asked)?;
        let mut moving = Moving {
            asked,
            parents: Parents::of(self, self.named_parents(asked)?),
            remarks: Remarks::default(),
            drafts: Vec::with_capacity(self.len()),
            left_out: Vec::new(),
        };
        for (position, entry) in self.numbered() {
            moving.take(position, entry);
        }
        moving.leave_out_below_aliases();
        Ok(Moved {
            drafts: moving.drafts.into_iter().map(|taken| taken.draft).collect(),
            notes: moving.remarks.into_notes(),
            left_out: moving.left_out,
        })
    }

    fn check_trust_domain(&self, asked: &Move) -> Result<(), MoveRefused> {
        let expected = asked.from.as_ref().unwrap_or(&asked.own);
        let foreign = |entry: &SpireEntry| [&entry.spiffe_id, &entry.parent_id].into_iter().find(|id| !id.is_member_of(expected)).cloned();
        match self.numbered().find_map(|(position, entry)| Some((position, foreign(entry)?))) {
            None => Ok(()),
            Some((position, id)) => Err(MoveRefused::ForeignTrustDomain {
                position,
                theirs: id.trust_domain(),
                own: expected.clone(),
            }),
        }
    }

    /// The parents that the operator names, each of which must be there: a slip of the pen would else go unseen.
    fn named_parents(&self, asked: &Move) -> Result<HashMap<SpiffeId, String>, MoveRefused> {
        let theirs = asked.from.as_ref().unwrap_or(&asked.own);
        let known: HashSet<&SpiffeId> = self.numbered().map(|(_, entry)| &entry.parent_id).collect();
        let find = |(written, name): &(String, String)| {
            let parent = SpiffeId::expand(theirs, written).ok().filter(|parent| known.contains(parent));
            let parent = parent.ok_or_else(|| MoveRefused::NoSuchParent { parent: written.clone() })?;
            Ok((parent, name.clone()))
        };
        asked.parents.iter().map(find).collect()
    }
}

struct Moving<'a> {
    asked: &'a Move,
    parents: Parents,
    remarks: Remarks,
    drafts: Vec<Taken>,
    left_out: Vec<LeftOut>,
}

/// A draft, and what it was.
struct Taken {
    position: usize,
    spiffe_id: SpiffeId,
    parent: Parent,
    draft: EntryDraft,
}

impl Moving<'_> {
    fn take(&mut self, position: usize, entry: &SpireEntry) {
        if self.parents.stands_for(entry) {
            return;
        }
        match self.draft(position, entry) {
            Ok((parent, draft)) => self.drafts.push(Taken {
                position,
                spiffe_id: entry.spiffe_id.clone(),
                parent,
                draft,
            }),
            Err(reason) => self.left_out.push(LeftOut {
                position,
                spiffe_id: entry.spiffe_id.clone(),
                reason,
            }),
        }
    }

    fn draft(&mut self, position: usize, entry: &SpireEntry) -> Result<(Parent, EntryDraft), NoCounterpart> {
        if entry.downstream {
            return Err(NoCounterpart::Downstream);
        }
        if entry.store_svid {
            return Err(NoCounterpart::StoreSvid);
        }
        let parent = self.parents.find(&entry.parent_id)?;
        let translate = match parent {
            Parent::Server => selectors::of_node,
            _ => selectors::of_process,
        };
        let selectors = entry.selectors.iter().map(SpireSelector::text).map(|text| translate(&text));
        let mut draft = EntryDraft {
            spiffe_id: self.ours(&entry.spiffe_id),
            parent_id: Some(self.parent_text(&parent)),
            selectors: selectors.collect::<Result<_, _>>()?,
            ..EntryDraft::default()
        };
        if parent == Parent::Server {
            self.remarks.add_if(has_fields(entry), Remark::AliasFields, position);
        } else {
            self.fill(&mut draft, position, entry);
        }
        self.remark(&parent, position, entry);
        Ok((parent, draft))
    }

    /// Puts in what only credentials have.
    fn fill(&mut self, draft: &mut EntryDraft, position: usize, entry: &SpireEntry) {
        let lives = Lives::of(entry);
        self.remarks.add_if(lives.cut, Remark::LifeCut, position);
        self.remarks.add_if(lives.x509_s.is_none(), Remark::DefaultLife, position);
        draft.class = Some(lives.class);
        draft.x509_ttl_s = lives.x509_s;
        draft.jwt_ttl_s = lives.jwt_s;
        draft.hint = (!entry.hint.is_empty()).then(|| entry.hint.clone());
        draft.expires_at = entry.expires_at;
        draft.dns_names.clone_from(&entry.dns_names);
        // SPIRE writes the first DNS name there, and databases know users by it.
        draft.subject_cn = entry.dns_names.first().filter(|name| name.parse::<SubjectCn>().is_ok()).cloned();
        self.remarks.add_if(draft.subject_cn.is_some(), Remark::CommonName, position);
        let (own, partners): (Vec<_>, Vec<_>) = entry.federates_with.iter().cloned().partition(|partner| *partner == self.asked.own);
        self.remarks.add_if(!own.is_empty(), Remark::OwnPartner, position);
        draft.federates_with = partners;
    }

    fn remark(&mut self, parent: &Parent, position: usize, entry: &SpireEntry) {
        if let Parent::Node(name) = parent {
            let (parent_id, name) = (entry.parent_id.clone(), name.to_string());
            self.remarks.add(Remark::Node { parent_id, name }, position);
        }
        self.remarks.add_if(entry.admin, Remark::Admin, position);
        self.remarks
            .add_if(entry.additional_attributes.disable_x509_svid_prefetch, Remark::Prefetch, position);
        self.remarks.add_if(entry.additional_attributes.jwt_svid_include_jti, Remark::TokenId, position);
    }

    fn parent_text(&self, parent: &Parent) -> String {
        match parent {
            Parent::Alias(id) => self.ours(id),
            Parent::Named(name) => name.clone(),
            Parent::Node(name) => SpiffeId::agent(&self.asked.own, NodeAttestor::JoinToken, name).to_string(),
            Parent::Server => SpiffeId::server(&self.asked.own).to_string(),
        }
    }

    /// The same path in this trust domain.
    fn ours(&self, id: &SpiffeId) -> String {
        format!("spiffe://{}{}", self.asked.own, id.path())
    }

    /// Leaves out what is under an alias of which every entry was left out: it would be nobody's.
    fn leave_out_below_aliases(&mut self) {
        let kept: HashSet<SpiffeId> = self
            .drafts
            .iter()
            .filter(|taken| taken.parent == Parent::Server)
            .map(|taken| taken.spiffe_id.clone())
            .collect();
        let parents = &self.parents;
        let is_gone = |taken: &mut Taken| matches!(&taken.parent, Parent::Alias(id) if parents.has_alias(id) && !kept.contains(id));
        for taken in self.drafts.extract_if(.., is_gone) {
            if let Parent::Alias(parent_id) = taken.parent {
                self.left_out.push(LeftOut {
                    position: taken.position,
                    spiffe_id: taken.spiffe_id,
                    reason: NoCounterpart::Alias { parent_id },
                });
            }
        }
        self.left_out.sort_unstable_by_key(|left_out| left_out.position);
    }
}

/// Whether a node alias of SPIRE says something that means nothing on it.
fn has_fields(entry: &SpireEntry) -> bool {
    let lives = entry.x509_svid_ttl != 0 || entry.jwt_svid_ttl != 0;
    lives || !entry.dns_names.is_empty() || !entry.federates_with.is_empty() || !entry.hint.is_empty() || entry.expires_at.is_some()
}
