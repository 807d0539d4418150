export const Button = () => <button>Buy</button>;
