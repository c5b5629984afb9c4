//! The answers to one batch, each judged with its order.

use super::outcome::{Outcome, Outcomes, all};

/// From this many on answers are judged off the runtime: a signature takes 50 us to check, a path 100.
const MANY: usize = 8;

/// Judges each answer with its order and what was `made` for that, such as its key; one answer too few or too many, and nobody is answered.
pub(crate) async fn judged<O, K, A, H>(orders: Vec<O>, made: Vec<K>, answers: Vec<A>, judge: impl Fn(&O, K, A) -> Outcome<H> + Send + 'static) -> Outcomes<O, H>
where
    O: Clone + Send + 'static,
    K: Send + 'static,
    A: Send + 'static,
    H: Send + 'static,
{
    if answers.len() != orders.len() {
        let reason = format!("the server answered {} of {} requests", answers.len(), orders.len());
        return all(orders, &reason, Outcome::Refused);
    }
    let judge_all = move |orders: Vec<O>| {
        let each = orders.into_iter().zip(made).zip(answers);
        each.map(|((order, made), answer)| {
            let outcome = judge(&order, made, answer);
            (order, outcome)
        })
        .collect()
    };
    if orders.len() < MANY {
        return judge_all(orders);
    }
    let asked_for = orders.clone();
    tokio::task::spawn_blocking(move || judge_all(orders))
        .await
        .unwrap_or_else(|_| all(asked_for, "the answers could not be checked", Outcome::Refused))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(order: &u32, made: u32, answer: u32) -> Outcome<u32> {
        match *order == answer && made == answer {
            true => Outcome::Issued(answer),
            false => Outcome::Refused("other".to_owned()),
        }
    }

    #[tokio::test]
    async fn each_answer_is_judged_with_its_own_order_and_one_too_few_answers_nobody() {
        for count in [1, MANY - 1, MANY, 500] {
            let orders: Vec<u32> = (0..).take(count).collect();
            let outcomes = judged(orders.clone(), orders.clone(), orders.clone(), judge).await;
            assert_eq!(outcomes.len(), count);
            assert!(
                outcomes
                    .iter()
                    .all(|(order, outcome)| matches!(outcome, Outcome::Issued(answer) if answer == order))
            );
            for answers in [&orders[1..], &[orders.clone(), vec![7]].concat()] {
                let refused = judged(orders.clone(), orders.clone(), answers.to_vec(), judge).await;
                assert_eq!(refused.len(), count);
                assert!(
                    refused
                        .iter()
                        .all(|(_, outcome)| matches!(outcome, Outcome::Refused(reason) if reason.contains("answered")))
                );
            }
        }
    }

    #[tokio::test]
    async fn a_judge_that_fails_costs_its_batch_and_nothing_else() {
        let outcomes = judged(vec![0_u32; MANY], vec![(); MANY], vec![0_u32; MANY], |_, (), _| -> Outcome<u32> {
            panic!("a bug")
        })
        .await;
        assert_eq!(outcomes.len(), MANY);
        assert!(outcomes.iter().all(|(_, outcome)| matches!(outcome, Outcome::Refused(_))));
    }
}
