//! Roots.

use super::Planning;
use super::action::AuthorityProblem;

impl<'a> Planning<'a> {
    pub(super) fn judge_root(&mut self) {
        let Some(root) = self.root else {
            self.problems.push(AuthorityProblem::NoRoot);
            return;
        };
        let successor_by = root.not_after - self.policy.root_margin();
        if self.now >= successor_by - self.policy.root_notice {
            self.problems.push(AuthorityProblem::RootEndsSoon {
                root: root.id.clone(),
                not_after: root.not_after,
                successor_by,
            });
        }
    }
}
