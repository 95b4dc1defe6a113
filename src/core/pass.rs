//! The pass: observe → judge → place → plan → apply, as a machine that is fed what happened and says what to do next.
