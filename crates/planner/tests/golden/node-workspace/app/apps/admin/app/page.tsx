import { Button } from '@shop/ui/button';

export default function Page() {
  return <Button />;
}
