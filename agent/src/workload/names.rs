//! The names of users and groups, asked of the machine's name service, which may be a directory server far away.

use std::sync::Arc;

use nix::unistd::{Gid, Group, Uid, User};
use tokio::sync::Semaphore;

use super::attestor::AttestError;

/// How many questions wait for the name service at once: a service that hangs holds no more threads than this.
const MAX_QUESTIONS: usize = 8;

/// Asks the name service, away from the runtime.
#[derive(Debug, Clone)]
pub(super) struct Names {
    questions: Arc<Semaphore>,
}

impl Default for Names {
    fn default() -> Self {
        Self {
            questions: Arc::new(Semaphore::new(MAX_QUESTIONS)),
        }
    }
}

impl Names {
    /// Returns the name of a user; `None` where it has none.
    pub(super) async fn user(&self, uid: u32) -> Result<Option<String>, AttestError> {
        self.ask("its user's name", move || Ok(User::from_uid(Uid::from_raw(uid))?.map(|user| user.name)))
            .await
    }

    /// Returns the name of a group; `None` where it has none.
    pub(super) async fn group(&self, gid: u32) -> Result<Option<String>, AttestError> {
        self.ask("its group's name", move || Ok(Group::from_gid(Gid::from_raw(gid))?.map(|group| group.name)))
            .await
    }

    async fn ask<F>(&self, what: &'static str, question: F) -> Result<Option<String>, AttestError>
    where
        F: FnOnce() -> Result<Option<String>, nix::Error> + Send + 'static,
    {
        // Held by the thread, not by this future: a question that nobody waits for any more still occupies the service.
        let place = Arc::clone(&self.questions).acquire_owned().await;
        let answer = tokio::task::spawn_blocking(move || {
            let _place = place;
            question()
        });
        match answer.await {
            Ok(Ok(name)) => Ok(name),
            Ok(Err(source)) => Err(AttestError::reading(what, source.into())),
            Err(_stopped) => Err(AttestError::Deadline { what }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn names_are_those_of_the_machine_and_an_id_without_one_has_none() {
        let names = Names::default();
        assert_eq!(names.user(0).await.unwrap().as_deref(), Some("root"));
        assert_eq!(names.group(0).await.unwrap().as_deref(), Some("root"));
        assert_eq!(names.user(3_999_999_999).await.unwrap(), None);
    }
}
